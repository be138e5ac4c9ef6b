"""Write config/schema.json from the library's models. Run by hand: make schema."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "src"))

from irrepress.core.files import write_json  # noqa: E402
from irrepress.study.reading import schema  # noqa: E402

write_json(ROOT / "config" / "schema.json", schema())
