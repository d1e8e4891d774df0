use super::*;
use crate::run::Preset;
use std::collections::BTreeSet;

fn plan(text: &str) -> Result<Plan> {
    Plan::from_toml(text, Path::new(""), &[])
}

const AXES: &str = r#"
preset = "digits"
epochs = 2
[grid]
temperature = [0.5, 1]
seed = [7, 11]
augmentation.max_noise = [0.1]
[[zip]]
batch_size = [32, 64]
learning_rate = [0.25, 0.5]
[[list]]
loss = "dcl"
[[list]]
loss = { kind = "hard", beta = 2 }
negatives = 15
"#;

#[test]
fn axes_make_every_combination_once() {
    let plan = plan(AXES).unwrap();
    assert_eq!(plan.runs().len(), 2 * 2 * 2 * 2);
    assert_eq!(plan.ids().iter().collect::<BTreeSet<_>>().len(), 16);
    let (first, last) = (&plan.runs()[0].config, &plan.runs()[15].config);
    assert_eq!((first.epochs, first.temperature, first.seed), (2, 0.5, 7));
    assert_eq!((last.temperature, last.seed, last.batch_size, last.learning_rate), (1.0, 11, 64, 0.5));
    assert_eq!((first.loss.describe(), last.loss.describe()), ("dcl".into(), "hard, beta = 2".into()));
    for run in plan.runs() {
        assert_eq!(run.config.batch_size == 64, run.config.learning_rate == 0.5);
        assert_eq!(run.name, run.id());
    }
    let title = "[16/16] batch_size = 64, learning_rate = 0.5, loss.beta = 2.0, loss.class_probability = 0.1, loss.kind = hard, negatives = 15, seed = 11, temperature = 1.0";
    assert_eq!(plan.title(15), title);
}

/// The ids were printed on another machine: settings and seed, and nothing else, make them.
#[test]
fn ids_are_the_same_everywhere_and_survive_further_values() {
    let small = plan("preset = \"digits\"\n[grid]\nseed = [7]\n").unwrap();
    assert_eq!(small.ids(), ["36dc94676015acd2-s7"]);
    let large = plan("preset = \"digits\"\n[grid]\nseed = [11, 7]\ntemperature = [0.1, 0.5]\n").unwrap();
    assert!(large.ids().contains(&small.ids()[0]) && large.ids().len() == 4);
    assert!(small.is_continued_by(&large).is_none());
    let lost = large.is_continued_by(&small).unwrap();
    assert!(lost.contains("there"), "{lost}");
}

#[test]
fn a_plan_survives_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE);
    for plan in
        [plan(AXES).unwrap(), plan("preset = \"digits\"").unwrap(), plan("preset = \"cifar10\"").unwrap()]
    {
        std::fs::write(&path, plan.to_jsonl()).unwrap();
        assert_eq!(Plan::read(&path).unwrap(), plan);
        assert_eq!(Plan::load(&path, &[]).unwrap(), plan);
    }
    let text = std::fs::read_to_string(&path).unwrap();
    for (from, to, words) in [
        ("\"epochs\":500", "\"epochs\":501", "line 1: the id"),
        ("\"epochs\":500", "\"epoch\":500", "line 1: unknown field `epoch`"),
        ("\"name\":\"n0032-s", "\"name\":\"../n0032-s", "no name of a folder"),
    ] {
        assert!(text.contains(from), "{text}");
        std::fs::write(&path, text.replace(from, to)).unwrap();
        let message = Plan::read(&path).unwrap_err().to_string();
        assert!(message.contains(words) && message.contains(FILE) && !message.contains('\n'), "{message}");
    }
}

#[test]
fn a_preset_is_the_plan_of_its_sweep_and_a_file_of_settings_one_of_its_own() {
    let named = Plan::load(Path::new("digits"), &["sweep.seeds=[7]".into()]).unwrap();
    assert_eq!(named.runs()[0].name, "n0016-s7");
    assert_eq!(named.runs().len(), 5);
    let folder = tempfile::tempdir().unwrap();
    let own = folder.path().join("own.toml");
    let Preset { config, .. } = Preset::named("digits", &[]).unwrap();
    let sweep = "\n[sweep]\ndraws = [64]\nseeds = [7]\n";
    std::fs::write(&own, config.to_toml() + sweep).unwrap();
    assert_eq!(Plan::load(&own, &[]).unwrap().runs()[0].name, "n0064-s7");
    // Another file may start from it: its axes take the place of the sweep.
    let other = folder.path().join("other.toml");
    std::fs::write(&other, "config = \"own.toml\"\n[grid]\nseed = [1, 2]\n").unwrap();
    assert_eq!(Plan::load(&other, &[]).unwrap().runs().len(), 2);
    std::fs::write(&other, "config = \"own.toml\"\n").unwrap();
    assert_eq!(Plan::load(&other, &[]).unwrap(), Plan::load(&own, &[]).unwrap());
    // With its own sweep as one more axis.
    let both = plan("preset = \"digits\"\n[grid]\nepochs = [1, 2]\n[sweep]\ndraws = [16, 32]\nseeds = [7]\n");
    let both = both.unwrap();
    assert_eq!(both.runs().iter().map(|run| run.config.batch_size).collect::<Vec<_>>(), [16, 32, 16, 32]);
    assert!(both.runs().iter().all(|run| run.name == run.id()));
}

#[test]
fn plans_that_cannot_be_are_refused_in_one_line() {
    for (text, words) in [
        ("preset = \"digit\"", "there is no preset 'digit'"),
        ("preset = \"digits\"\nconfig = \"x\"", "not from both"),
        ("preset = 3", "preset = 3"),
        ("config = \"nowhere.toml\"", "nowhere.toml"),
        ("preset = \"digits\"\n[grid]\nseed = 7", "grid.seed = 7"),
        ("preset = \"digits\"\n[grid]\nseed = []", "no values"),
        ("preset = \"digits\"\n[grid]\nseed = [7, 7]", "stands in the plan twice"),
        ("preset = \"digits\"\n[grid]\nsede = [7]", "sede"),
        ("preset = \"digits\"\n[[zip]]\nseed = [7, 8]\nepochs = [1]", "seed"),
        ("preset = \"digits\"\n[grid]\nepochs = [0]", "epochs = 0"),
        ("preset = \"digits\"\nlist = [1]", "list"),
        ("dataset = \"digits\"", "missing field"),
        ("preset = \"digits\"\n[quick]\nepochs = 1", "no shortened form: [quick]"),
        ("preset = \"digits\"\n[grid]\nseed = [1\n", "line"),
    ] {
        let message = plan(text).unwrap_err().to_string();
        assert!(message.contains(words) && !message.contains('\n'), "{text}: {message}");
    }
    let many: Vec<String> = (0..400).map(|value| value.to_string()).collect();
    let many = format!("[{}]", many.join(","));
    let message = plan(&format!("preset = \"digits\"\n[grid]\nseed = {many}\nepochs = {many}"))
        .unwrap_err()
        .to_string();
    assert!(message.contains("100000"), "{message}");
}

#[test]
fn a_folder_takes_plans_that_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let seeds = |seeds: &str| {
        plan(&format!("preset = \"digits\"\n[sweep]\ndraws = [64]\nseeds = {seeds}\n")).unwrap()
    };
    seeds("[7]").claim(folder.path()).unwrap();
    seeds("[7, 11]").claim(folder.path()).unwrap();
    let message = seeds("[11]").claim(folder.path()).unwrap_err().to_string();
    assert!(message.contains("of other settings (n0064-s7: seed: 7 there, 11 here)"), "{message}");
    assert_eq!(Plan::read(&folder.path().join(FILE)).unwrap(), seeds("[7, 11]"));
    // A line stays where it is, wherever a value is added.
    let grown = seeds("[3, 7, 11]").claim(folder.path()).unwrap();
    assert_eq!(grown.runs().iter().map(|run| run.config.seed).collect::<Vec<_>>(), [7, 11, 3]);
    std::fs::write(folder.path().join(FILE), "{}\n").unwrap();
    let message = seeds("[7]").claim(folder.path()).unwrap_err().to_string();
    assert!(message.contains("line 1: ") && message.contains("remove this file"), "{message}");
}

#[test]
fn a_plan_of_ten_thousand_runs_is_read() {
    let values: Vec<String> = (0..100).map(|value| value.to_string()).collect();
    let values = values.join(",");
    let text = format!("preset = \"digits\"\n[grid]\nseed = [{values}]\nwarmup_epochs = [{values}]\n");
    let large = plan(&text).unwrap();
    assert_eq!(large.ids().iter().collect::<BTreeSet<_>>().len(), 10_000);
}

#[test]
fn an_entry_of_a_list_changes_what_it_names_and_nothing_else() {
    let base = "preset = \"digits\"\nnegatives = \"queue\"\nqueue = { size = 100, momentum = 0.5 }\nloss = { kind = \"hard\", beta = 2 }\n";
    for axis in ["[[list]]\nqueue.size = 200", "[[list]]\n\"queue.size\" = 200", "[grid]\nqueue.size = [200]"]
    {
        let plan = plan(&format!("{base}{axis}\n")).unwrap();
        let queue = plan.runs()[0].config.queue.unwrap();
        assert_eq!((queue.size, queue.momentum), (200, 0.5), "{axis}");
    }
    // A loss of another kind has other parameters.
    let plan = plan(&format!("{base}[[list]]\nloss = {{ kind = \"dcl\" }}\n")).unwrap();
    assert_eq!(plan.runs()[0].config.loss.describe(), "dcl");
}

#[test]
fn an_override_does_not_yield_to_an_axis_in_silence() {
    let set = |item: &str| {
        Plan::from_toml("preset = \"digits\"\n[grid]\nseed = [7, 11]\n", Path::new(""), &[item.into()])
    };
    let message = set("seed=99").unwrap_err().to_string();
    assert!(message.contains("--set seed: it is an axis"), "{message}");
    assert_eq!(set("grid.seed=[99]").unwrap().runs()[0].config.seed, 99);
    assert_eq!(set("epochs=3").unwrap().runs()[1].config.epochs, 3);
}
