from pathlib import Path


def test_check_lists_what_a_config_computes(run):
    result = run("check", Path(__file__).parents[2] / "config" / "quickstart.yaml", "--conda")
    assert result.exit_code == 0, result.output
    assert "fisher-fast" in result.output
