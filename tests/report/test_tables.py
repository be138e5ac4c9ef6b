"""The tables against numbers computed by hand from the rules of the synthetic study."""

import json

import pytest
from study_samples import ONE_SYSTEM, make_config, write_study

from irrepress.report import tables
from irrepress.report.page import write_report
from irrepress.report.study import read_study


def change_errors(path, **errors):
    """Change errors against labels in a file of metrics."""
    metrics = json.loads(path.read_text())
    metrics["errors"]["labels"] |= errors
    path.write_text(json.dumps(metrics))


def row_of(table, **wanted):
    for column, value in wanted.items():
        table = table[table[column] == value]
    assert len(table) == 1
    return table.iloc[0]


class TestSweep:
    def test_has_one_row_per_plan_and_the_parent_first(self, study_dir, config):
        table = tables.collect_sweep(study_dir, config)
        assert table["plan"].tolist() == ["parent", *config.plans()]

    def test_says_what_was_asked_and_what_is_left(self, study_dir, config):
        row = row_of(tables.collect_sweep(study_dir, config), plan="taylor-0.25-channels")
        assert (row["criterion"], row["budget"], row["budget unit"]) == ("taylor", 0.25, "flops")
        assert (row["axes"], row["irreps"]) == ("channels", "8x0e | 8x0e+4x1e+2x2e (2 layers)")
        assert row["allocation"] == "greedy"
        assert row["blocks kept [%]"] == pytest.approx(25)
        assert row["parameters"] == 200_000
        assert row["parameter ratio"] == row["FLOPs ratio"] == pytest.approx(0.25)
        assert row["time ratio"] == pytest.approx(0.25 * 1.1)

    def test_converts_errors_from_ev_to_the_units_in_the_column_names(self, study_dir, config):
        # magnitude at half the budget: forces 0.3 / 0.5 = 0.6 eV/Å, energy a quarter of it,
        # stress a tenth of it in eV/Å^3; against the parent half, a fifth and a twentieth.
        row = row_of(tables.collect_sweep(study_dir, config), plan="magnitude-0.50")
        assert row["forces MAE vs labels [meV/Å]"] == pytest.approx(600)
        assert row["forces RMSE vs labels [meV/Å]"] == pytest.approx(1200)
        assert row["energy MAE vs labels [meV/atom]"] == pytest.approx(150)
        assert row["stress MAE vs labels [GPa]"] == pytest.approx(0.06 * 160.21766208)
        assert row["forces MAE vs parent [meV/Å]"] == pytest.approx(300)
        assert row["energy MAE vs parent [meV/atom]"] == pytest.approx(120)

    def test_explicit_plans_have_no_budget(self, study_dir, config):
        row = row_of(tables.collect_sweep(study_dir, config), plan="taylor-small")
        assert row[["budget", "budget unit"]].isna().all()
        assert row["filter lmax"] == 2

    def test_allocations_are_told_apart(self, tmp_path):
        sweep = {"criteria": ["taylor"], "budgets": [0.5], "allocations": ["greedy", "iterated"]}
        config = make_config(sweep=sweep, train_plans=[], downstream=None)
        table = tables.collect_sweep(write_study(tmp_path, config), config)
        assert row_of(table, plan="taylor-0.50-channels-iterated")["allocation"] == "iterated"
        assert row_of(table, plan="taylor-0.50")["allocation"] == "greedy"


class TestStages:
    def test_only_trained_plans_have_all_stages(self, study_dir, config):
        table = tables.collect_errors(study_dir, config)
        stages = table.groupby("plan")["stage"].agg(list)
        everything = ["pruned", "recovered", "distilled", "recovered-int8"]
        assert stages["taylor-0.50"] == stages["taylor-0.25"] == everything
        assert stages["magnitude-0.50"] == ["pruned"]
        assert stages["parent"] == ["original"]

    def test_errors_name_whose_labels_they_are_against(self, study_dir, config):
        table = tables.collect_errors(study_dir, config)
        assert set(table["labels"]) == {"SevenNet-l3i5 (7net-l3i5)"}
        row = row_of(table, plan="taylor-0.50", stage="recovered-int8")
        assert row["forces MAE vs labels [meV/Å]"] == pytest.approx(0.1 / 0.5 * 0.55 * 1e3)

    def test_cost_in_its_units(self, study_dir, config):
        table = tables.collect_cost(study_dir, config)
        row = row_of(table, plan="taylor-0.50", stage="recovered-int8")
        assert row["FLOPs per atom [MFLOP]"] == pytest.approx(2)
        assert (row["file [MB]"], row["packed file [MB]"]) == pytest.approx((1.6, 0.4))
        assert row["time per call [ms]"] == pytest.approx(80)
        assert row["parent's time per call [ms]"] == pytest.approx(200)
        assert row["speed-up"] == pytest.approx(2.5)
        assert table["packed file [MB]"].count() == 2  # only the quantized stages

    def test_times_in_a_runtime_of_deployments_have_columns_named_after_it(self, tmp_path):
        sweep = {"criteria": ["taylor", "magnitude"], "budgets": [0.5, 0.25], "unit": "time"}
        config = make_config(sweep={**sweep, "runtime": "torchscript"})
        study_dir = write_study(tmp_path, config)
        there = {"runtime": "torchscript", "code": "torch 2.13.0", "seconds": 0.02, "busy": None}
        there |= {"parent_seconds": 0.06, "time_ratio": 0.25, "time_ratio_spread": 0.01}
        folder = study_dir / "sevennet-0/taylor-0.50/pruned"
        metrics = json.loads((folder / "metrics.json").read_text())
        metrics["cost"]["deployed"] = there
        (folder / "metrics.json").write_text(json.dumps(metrics))
        table = tables.collect_cost(study_dir, config)
        row = row_of(table, plan="taylor-0.50", stage="pruned")
        assert row["speed-up in torchscript"] == pytest.approx(4)
        assert row["parent's time per call in torchscript [ms]"] == pytest.approx(60)
        assert row["code timed in torchscript"] == "torch 2.13.0"
        budget = row_of(tables.collect_sweep(study_dir, config), plan="taylor-0.50")
        assert budget["budget unit"] == "time in torchscript"
        write_report(study_dir, config, tmp_path / "report")
        page = " ".join((tmp_path / "report" / "index.html").read_text().split())
        assert "speed-up in torchscript" in page
        assert "the time in torchscript, as models are deployed" in page

    def test_checks_are_floats_even_where_absent(self, study):
        table = tables.checks_table(study)
        assert table["inversion"].isna().all()
        assert table["rotation"].max() == pytest.approx(2e-13)


class TestFinal:
    """A study of one downstream dataset is for the model that is fine-tuned on it."""

    @pytest.fixture(scope="class")
    def study(self, tmp_path_factory):
        config = make_config(**ONE_SYSTEM)
        return read_study(write_study(tmp_path_factory.mktemp("own"), config), config)

    @pytest.mark.parametrize("make", [tables.errors_table, tables.cost_table, tables.checks_table])
    def test_has_a_row_after_what_it_was_made_of(self, study, make):
        rows = make(study)
        stages = rows.loc[rows["plan"] == "taylor-0.50", "stage"].drop_duplicates().tolist()
        assert stages[-1] == "recovered, fine-tuned on silicon"
        assert stages[:-1] == ["pruned", "recovered"]

    def test_numbers_are_its_own(self, study):
        wanted = {"plan": "taylor-0.50", "stage": "recovered, fine-tuned on silicon"}
        errors = row_of(tables.errors_table(study), **wanted)
        assert errors["dataset"] == "silicon"
        assert errors["forces MAE vs labels [meV/Å]"] == pytest.approx(100)
        assert row_of(tables.cost_table(study), **wanted)["speed-up"] == pytest.approx(2.5)

    def test_of_several_datasets_none_is_the_end(self, study_dir, config):
        table = tables.collect_errors(study_dir, config)
        assert not table["stage"].str.contains("fine-tuned").any()


class TestDownstream:
    def test_compares_three_trainings(self, study_dir, config):
        table = tables.collect_downstream(study_dir, config)
        row = row_of(table, plan="taylor-0.50", dataset="silicon")
        assert row["energy MAE fine-tuned compressed [meV/atom]"] == pytest.approx(4)
        assert row["energy MAE from scratch [meV/atom]"] == pytest.approx(20)
        assert row["energy MAE fine-tuned parent [meV/atom]"] == pytest.approx(3)
        assert row["forces RMSE from scratch [meV/Å]"] == pytest.approx(400)
        assert row["labels"] == "PBE"

    def test_tells_what_leaving_out_elements_alone_brings(self, study_dir, config):
        table = tables.collect_downstream(study_dir, config)
        row = row_of(table, plan="taylor-0.50", dataset="silicon")
        assert row["forces MAE restricted parent [meV/Å]"] == pytest.approx(300)
        whole, restricted = row["parameters parent"], row["parameters restricted parent"]
        assert restricted == int(0.8 * whole)
        own = ~table["dataset"].isin(tables.SUMMARIES) & (table["source"] == "this study")
        assert (table["parameters parent"].isna() == ~own).all()
        assert row["speed-up fine-tuned compressed"] == pytest.approx(2.5)

    def test_says_which_model_is_the_best_on_a_dataset(self, tmp_path):
        downstream = {"datasets": ["silicon", "ethanol"], "baselines": ["restricted"]}
        config = make_config(downstream=downstream)
        study_dir = write_study(tmp_path, config)
        change_errors(
            study_dir / "sevennet-0/parent/original/downstream/silicon/restricted/metrics.json",
            forces_mae=0.05,
        )
        table = tables.collect_downstream(study_dir, config).set_index(["plan", "dataset"])
        assert table.loc[("taylor-0.50", "silicon"), "best in forces"] == "restricted parent"
        assert table.loc[("taylor-0.50", "silicon"), "best in energy"] == "fine-tuned compressed"
        assert table.loc[("taylor-0.50", "ethanol"), "best in forces"] == "fine-tuned compressed"

    def test_reductions_against_scratch_and_their_mean(self, study_dir, config):
        table = tables.collect_downstream(study_dir, config)
        energy, forces = (tables.reduction_column(q) for q in ("energy", "forces"))
        own = table[table["plan"] == "taylor-0.25"].set_index("dataset")
        assert own.loc["silicon", [energy, forces]].tolist() == pytest.approx([80, 50])
        assert own.loc["ethanol", [energy, forces]].tolist() == pytest.approx([60, 75])
        assert own.loc["mean", [energy, forces]].tolist() == pytest.approx([70, 62.5])
        assert own.loc["mean"].filter(like="MAE fine-tuned").isna().all()

    def test_a_dataset_on_which_pruning_failed_is_not_hidden_by_a_mean(self, tmp_path):
        config = make_config()
        study_dir = write_study(tmp_path, config)
        folder = study_dir / "sevennet-0/taylor-0.50/recovered/downstream/silicon"
        change_errors(folder / "finetuned/metrics.json", forces_mae=0.428)  # from scratch 0.2
        table = tables.collect_downstream(study_dir, config)
        own = table[table["plan"] == "taylor-0.50"].set_index("dataset")
        reductions = own[tables.reduction_column("forces")]
        assert reductions["lowest"] == pytest.approx(-114)
        assert reductions["highest"] == pytest.approx(75)
        assert reductions["median"] == reductions["mean"] == pytest.approx((75 - 114) / 2)

    def test_the_papers_figures_stand_apart(self, study_dir, config):
        table = tables.collect_downstream(study_dir, config)
        paper = table[table["source"] != "this study"]
        assert len(paper) == 1
        row = paper.iloc[0]
        assert "2605.08885" in row["source"]
        assert row[tables.reduction_column("energy")] == 70.1
        assert row[tables.reduction_column("forces")] == 34.4
        assert row.filter(like="meV").isna().all()

    @pytest.mark.parametrize("baselines", [[], ["parent"], ["scratch"]])
    def test_baselines_that_are_not_trained_have_no_errors(self, tmp_path, baselines):
        downstream = {"datasets": ["silicon", "ethanol"], "baselines": baselines}
        config = make_config(downstream=downstream)
        table = tables.collect_downstream(write_study(tmp_path, config), config)
        errors = {name: table.filter(like=f"MAE {name}") for name in tables.TRAININGS}
        assert errors["fine-tuned compressed"].notna().any(axis=None)
        assert errors["from scratch"].notna().any(axis=None) == ("scratch" in baselines)
        assert errors["fine-tuned parent"].notna().any(axis=None) == ("parent" in baselines)
        # Without training from scratch there are no reductions, to average or to compare with.
        assert ("mean" in set(table["dataset"])) == ("scratch" in baselines)
        assert table["source"].str.contains("paper").any() == ("scratch" in baselines)
        reductions = table[[tables.reduction_column(q) for q in ("energy", "forces")]]
        assert reductions.notna().any(axis=None) == ("scratch" in baselines)

    def test_without_datasets_only_columns_are_left(self, tmp_path):
        config = make_config(downstream=None)
        table = tables.collect_downstream(write_study(tmp_path, config), config)
        assert table.empty
        assert tables.reduction_column("forces") in table


def test_every_error_has_its_unit_in_the_column_name(study):
    for table in (tables.errors_table(study), tables.downstream_table(study)):
        for column in table:
            if "MAE" in column or "RMSE" in column:
                assert column.endswith(("[meV/atom]", "[meV/Å]", "[GPa]", "[%]"))


def test_missing_labels_become_empty_cells(tmp_path):
    config = make_config(downstream=None, distillation=None, quantization=None)
    study_dir = write_study(tmp_path, config)
    for path in study_dir.rglob("metrics.json"):
        metrics = json.loads(path.read_text())
        metrics["errors"]["labels"] = None
        metrics["errors"]["parent"] |= {"stress_mae": None, "stress_rmse": None}
        path.write_text(json.dumps(metrics))
    table = tables.collect_errors(study_dir, config)
    assert table.filter(like="vs labels").isna().all(axis=None)
    assert table["stress MAE vs parent [GPa]"].isna().all()
    assert table["forces MAE vs parent [meV/Å]"].notna().all()


@pytest.mark.parametrize(
    ("irreps", "text"),
    [
        ("16x0e+8x1e", "16x0e+8x1e"),
        (["16x0e"], "16x0e"),
        (["8x0e", "8x0e+4x1e", "8x0e+4x1e", "8x0e"], "8x0e | 8x0e+4x1e (2 layers) | 8x0e"),
        ([], ""),
    ],
)
def test_irreps_of_equal_layers_are_written_once(irreps, text):
    assert tables.format_irreps(irreps) == text
