"""Draw structures from those of another dataset, label them by a model, and write a store."""

import logging

from _common import Job, labelled_info, run
from irrepress.data.checks import check_elements, checked
from irrepress.data.datasets import Dataset
from irrepress.data.sources.draw import draw
from irrepress.data.store import StructureStore
from irrepress.data.writing import write_store

logger = logging.getLogger("draw")


def main(job: Job) -> None:
    name, dataset = job.wildcards.dataset, job.section(Dataset)
    source, labeller = StructureStore(job.inputs.source), job.labeller
    model = labeller.model
    check_elements(source.elements, model.elements, f"{source.path} and datasets.{name}.labels")
    drawing = draw(source, dataset, name, model)
    info = labelled_info(source.info, job.reference, f"{drawing.what} of {dataset.of}")
    logger.info("datasets.%s: %s, to be labelled by %s", name, drawing, info.labels)
    where = f"datasets.{name} (lower the amplitudes)"
    write_store(
        job.outputs.store,
        checked(labeller.label(drawing), where),
        info,
        drawing.split,
        dataset.seed,
        total=len(drawing),
    )
    logger.info("datasets.%s: %d structures are labelled", name, len(drawing))


run(main, snakemake)
