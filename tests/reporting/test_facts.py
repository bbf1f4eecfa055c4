import pandas as pd

from pipeline.reporting import facts

PARAMS = {
    "seed": 3,
    "dataset": {"path": "data/demo"},
    "subset": "mould",
    "image": {"height": 64, "width": 96},
    "masks": {"source": "real"},
    "image_dm": {"kind": "sdm"},
}


def test_guidance_is_told_in_both_conventions():
    synthetic = pd.DataFrame({"guidance": [0.5, 0.5], "sampler": "ddim", "steps": 20})
    told = dict(facts.method(PARAMS, synthetic))
    assert told["Guidance"] == "s = 0.5 of the thesis's eq. 3.12, which is w = 1 + s = 1.5"
    assert told["Synthetic pairs"] == "2 drawn"
    assert told["Sampler"] == "ddim"
    assert told["Photo size"] == "96 × 64 px"


def test_the_method_s_two_choices_are_told():
    chosen = {"masks": {"source": "diffusion"}, "mask_dm": {"kind": "pixel"}}
    told = dict(facts.method(PARAMS | chosen | {"image_dm": {"kind": "ldm"}}, pd.DataFrame()))
    assert told["Masks from"] == "a mask diffusion model (pixel: label maps)"
    assert told["Image model"] == "ldm: latents, mask concatenated"
    told = dict(facts.method(PARAMS, pd.DataFrame()))
    assert told["Masks from"] == "the training masks"


def test_a_model_of_pairs_is_told():
    pair = {"network": {"architecture": "shared_encoder"}, "discriminator": {"enabled": True}}
    chosen = {"image_dm": {"kind": "pair", "pair": pair}}
    synthetic = pd.DataFrame({"superres": ["ddim"], "superres_steps": [100]})
    told = dict(facts.method(PARAMS | chosen, synthetic))
    assert told["Masks from"] == "nowhere else: made with their photos"
    assert told["Image model"].startswith("pair, shared_encoder: one encoder")
    assert told["Image model"].endswith("against a discriminator")
    assert told["Masks hold"] == "classes" and "Condition" not in told
    assert told["Enlarged by"] == "ddim, drawn"
    assert told["Steps of the enlargement"] == "100"


def test_no_guidance_is_told():
    told = dict(facts.method(PARAMS, pd.DataFrame({"guidance": [0.0]})))
    assert told["Guidance"] == "none (s = 0, w = 1)"
    assert "Sampler" not in told


def test_mix_kinds():
    mixes = {
        "a": {"real": "all", "synthetic": 0},
        "b": {"real": 0, "synthetic": "equal"},
        "c": {"real": 16, "synthetic": 100},
    }
    assert facts.mix_kinds(mixes) == {"a": "real", "b": "synthetic", "c": "real and synthetic"}


def _reach(seeds, groups):
    counts = pd.DataFrame({"id": ["p", "q", "r"], "group": groups})
    rows = [("fpn", mix, seed, 0.5 + 0.03 * seed) for mix in "ab" for seed in range(seeds)]
    scores = pd.DataFrame(rows, columns=["architecture", "mix", "seed", "defect_iou"])
    return facts.reach(counts, scores)


def test_reach_counts_photos_groups_and_seeds():
    text = _reach(3, ["g", "g", "h"])
    assert "3 real test photos in 2 groups" in text
    assert "3 trainings" in text
    assert "0.06 apart" in text
    assert text.endswith("With fewer than 5 seeds only a large difference can be told from chance.")


def test_reach_of_one_seed_and_one_group_promises_nothing():
    text = _reach(1, ["g", "g", "g"])
    assert "in 1 group " in text
    assert "a single training" in text
    assert "So no verdict is given" in text
    assert "segmenters.training.seeds" in text


def test_one_group_promises_nothing_however_many_seeds_there_are():
    assert "So no verdict is given" in _reach(5, ["g", "g", "g"])


def test_five_seeds_and_several_groups_need_no_warning():
    assert _reach(5, ["g", "h", "i"]).endswith("0.12 apart within one mix. ")


def test_flat_parameters():
    assert facts.flat({"seed": 0, "a": {"b": {"c": [1, 2.5], "d": None}, "e": True, "f": {}}}) == {
        "general": [("seed", "0")],
        "a": [("b.c", "1, 2.5"), ("b.d", "null"), ("e", "true"), ("f", "{}")],
    }
