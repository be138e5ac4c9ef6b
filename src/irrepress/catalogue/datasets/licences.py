"""Licences shared by several published datasets."""

from irrepress.catalogue.entry import Licence

CC0 = Licence("CC0-1.0", "https://creativecommons.org/publicdomain/zero/1.0/")
CC_BY = Licence(
    "CC-BY-4.0", "https://creativecommons.org/licenses/by/4.0/", terms="Cite the authors."
)
MIT = Licence("MIT", "https://opensource.org/license/mit")
LGPL = Licence("LGPL-3.0", "https://www.gnu.org/licenses/lgpl-3.0.html")
