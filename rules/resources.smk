# What jobs ask for: how the numbers that rules give grow is decided by irrepress.study.resources.
# A profile can set others for single rules (set-resources, set-threads).
from irrepress.study.resources import JobResources

RESOURCES = JobResources(CONFIG, of_trainings=RUN.warning_before_the_limit())
memory, minutes = RESOURCES.memory, RESOURCES.minutes
gpus, training = RESOURCES.gpus, RESOURCES.training
# Rules that train, whose jobs are told before their time limit.
TRAININGS = ["recover", "distill", "fine_tune", *(f"train_from_scratch_{m}" for m in UNTRAINED)]
