"""The report of a study: tables, figures and one HTML page. Reads files only."""
