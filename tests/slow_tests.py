"""Tests of earlier capabilities that together take longer than all others: `make test` must end within half an hour on
two slow cores, so they are with `make test-slow` (and `make embed-test`).

Each is the beginning of a test's name, by its file; of what they cover, a quicker test of the same kind stays.
"""

from __future__ import annotations

SLOW: dict[str, tuple[str, ...]] = {
    "tests/parity/test_sabotage_sigma.py": ("",),
    "tests/parity/test_sabotage.py": ("test_a_wrong_decision_is_no_matter_of_taste",),
    "tests/parity/test_check.py": ("test_one_decision_that_is_worse_fails_however_rare",),
    "tests/export/test_told.py": (
        "test_every_format_is_proven",
        "test_in_sound_graphs_the_search_for_a_node_finds_none",
    ),
    "tests/export/test_bisect.py": ("test_in_a_sound_graph_there_is_nothing_to_find",),
    "tests/export/test_reproducible.py": ("test_the_same_model_gives_the_same_bytes",),
    "tests/export/test_own_models.py": ("test_to_reopen_it_in_pytorch_its_code_must_be_named_again",),
    "tests/export/test_layouts.py": ("test_a_repository_is_what_triton_takes",),
    "tests/embed/test_cpp.py": ("",),
    "tests/embed/test_cpp_files.py": ("",),
    "tests/embed/test_cpp_hostile.py": ("",),
    "tests/embed/test_told.py": ("",),
    "tests/embed/test_web_explorer.py": ("test_labels_of_points_are_hidden_and_shown",),
    "tests/embed/test_web.py": ("test_other_formats",),
    "tests/embed/test_python.py": ("test_other_formats",),
    "tests/jobs/engines/test_ray.py": ("test_a_node_is_killed",),
    "tests/training/test_distributed.py": ("test_two_processes_do_what_one_does",),
    "tests/training/test_told.py": ("test_it_learns_to_use_what_it_is_told",),
    "tests/training/test_resume.py": ("test_at_whatever_step_it_is_stopped",),
    "tests/cli/test_sweep.py": ("test_a_signal_stops_every_point_and_the_command_that_goes_on_is_printed",),
    "tests/cli/test_bench.py": ("test_all_exports_what_is_missing_into_a_copy",),
    "tests/models/test_bottlenecks.py": ("test_every_format_computes_the_same_at_any_batch_and_size",),
    "tests/jobs/test_killed.py": ("test_killed_at_random_instants",),
    "tests/embed/test_port_in_c.py": ("",),
    "tests/embed/test_web_refusals.py": ("test_what_was_altered_is_refused",),
    "tests/export/test_formats.py": ("TestOptions::test_the_opset_is_the_one_asked_for",),
    "tests/export/lint/test_rules.py": ("test_what_is_near_and_sound_does_not",),
    "tests/training/test_corruption.py": ("TestEveryCorruptionOfTheFolder::test_is_in_no_exported_graph",),
    "tests/training/test_run.py": ("test_the_same_seed_gives_the_same_weights",),
    "tests/cli/test_train.py": ("test_a_bundle_replaced_by_a_killed_process_is_whole_or_none",),
    "tests/runtime/test_exported_file.py": ("test_every_format_carries_its_contract",),
    "tests/runtime/test_full_size.py": (
        "test_tiles_give_what_the_whole_gives_seams_and_borders_included",
        "test_an_image_smaller_than_the_model_takes_or_of_no_multiple_keeps_its_size",
    ),
}

#: Of the tests above, those that stay, by the ends of their names.
QUICK = ("[denoising]", "[denoiser-gray]", "[cpp-onnx-conv]", "[vae]", "[vq-vae]", "[stacked]", "[aae]")


def is_slow(name: str) -> bool:
    """Whether a test, by its node id, is one of these."""
    file, _, test = name.replace("\\", "/").partition("::")
    beginnings = SLOW.get(file)
    return beginnings is not None and test.startswith(beginnings) and not name.endswith(QUICK)
