"""One synthetic study and its report, written once for all tests of the report."""

import pytest
from study_samples import make_config, write_study

from irrepress.report.page import write_report
from irrepress.report.study import read_study


@pytest.fixture(scope="session")
def config():
    return make_config()


@pytest.fixture(scope="session")
def study_dir(config, tmp_path_factory):
    return write_study(tmp_path_factory.mktemp("results"), config)


@pytest.fixture(scope="session")
def study(study_dir, config):
    return read_study(study_dir, config)


@pytest.fixture(scope="session")
def report_dir(study_dir, config):
    write_report(study_dir, config, study_dir / "report")
    return study_dir / "report"
