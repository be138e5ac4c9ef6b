"""Write config/schema.json from the library's models. Run by hand: make schema."""

from _library import WORKFLOW
from irrepress.core.files import write_json
from irrepress.study.reading import schema

write_json(WORKFLOW / "config" / "schema.json", schema())
