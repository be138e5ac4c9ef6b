# What jobs ask for: how the numbers that rules give grow is decided by irrepress.study.resources.
# A profile can set others for single rules (set-resources, set-threads).
from irrepress.study.resources import JobResources

RESOURCES = JobResources(CONFIG, of_trainings=RUN.warning_before_the_limit())
memory, minutes = RESOURCES.memory, RESOURCES.minutes
gpus, training = RESOURCES.gpus, RESOURCES.training
# Cores that would be idle speed up trainings. Shorter jobs would only wait for them.
OF_A_TRAINING = RUN.threads(len(CONFIG.compressed_models()) * len(CONFIG.train_plans))
# Rules that train, whose jobs are told before their time limit.
TRAININGS = [
    "recover",
    "distill",
    "refine",
    "fine_tune",
    *(f"train_from_scratch_{m}" for m in UNTRAINED),
]
