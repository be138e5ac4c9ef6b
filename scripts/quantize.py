"""Quantize path and radial weights: a packed file, and the native model it unpacks to."""

from _common import Job, run
from irrepress.quantization.packing import pack, unpack


def main(job: Job) -> None:
    bits = int(job.wildcards.bits)
    pack(job.load(job.inputs.model), job.outputs.packed, bits=bits)
    stage = {"stage": f"int{bits}", "of": job.wildcards.source, "bits": bits}
    job.save(unpack(job.family, job.outputs.packed), stage)


run(main, snakemake)
