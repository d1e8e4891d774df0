use super::*;
use std::collections::BTreeSet;

fn with(overrides: &[&str]) -> Result<Config> {
    let overrides: Vec<String> = overrides.iter().map(ToString::to_string).collect();
    Preset::named("digits", &overrides).map(|preset| preset.config)
}

#[test]
fn settings_survive_a_round_trip() {
    for overrides in [
        vec![],
        vec!["negatives=15", "encoder=conv", "optimiser=lars", "learning_rate=1"],
        vec!["optimiser=lars", "lars_adapt_bias_and_norm=false", "lars_clip=true"],
        vec!["loss=flat-nce"],
        vec!["loss.kind=nscl", "loss.positive_in_denominator=true"],
        vec!["loss.kind=hard", "loss.beta=2"],
        vec!["imbalance.ratio=10", "train_samples=100", "evaluate_imbalanced=true"],
        vec!["negatives=queue", "queue.size=100", "queue.momentum=0.25"],
        vec!["negatives=range:0-40%,60.5-100%", "queue.size=4096"],
        vec!["negatives=hardest:5%"],
        vec!["negatives=15", "selection=range:0-40%,60.5-100%", "loss=dcl"],
    ] {
        let config = with(&overrides).unwrap();
        assert_eq!(Config::from_toml(&config.to_toml()).unwrap(), config);
    }
}

#[test]
fn every_setting_but_the_seed_is_in_their_name() {
    assert_eq!(with(&[]).unwrap().settings_id(), "36dc94676015acd2");
    // Together they make no run, but a name.
    let whole = with(&[
        "train_samples=200",
        "passes=3",
        "probe_epochs=4",
        "loss=dcl",
        "stem_padding=3",
        "micro_batch=8",
    ])
    .unwrap();
    let whole = Config {
        imbalance: Some(Imbalance { ratio: 10.0 }),
        evaluate_imbalanced: true,
        validation: Some(0.25),
        images: ImageSettings { side: Some(32), ..ImageSettings::default() },
        probe_best_epoch: true,
        lars_adapt_bias_and_norm: false,
        lars_clip: true,
        objective: ObjectiveKind::CrossEntropy,
        selection: Some("hardest:5%".parse().unwrap()),
        head: Head::Paper,
        stem: crate::model::Stem::Imagenet,
        queue: Some(QueueSettings { size: 99, momentum: 0.5 }),
        monitor: Some(MonitorSettings { keep_best: true, ..MonitorSettings::default() }),
        ..whole
    };
    let full = toml::Table::try_from(&whole).unwrap();
    // A field that is not in `full` would escape: serde names them all where it meets an unknown one.
    let message = "x = 1".parse::<toml::Table>().unwrap().try_into::<Config>().unwrap_err().to_string();
    let fields = message.split('`').skip(3).step_by(2);
    assert_eq!(fields.collect::<BTreeSet<_>>(), full.keys().map(String::as_str).collect());
    let name = |table: &toml::Table| table.clone().try_into::<Config>().unwrap().settings_id();
    let mut names = BTreeSet::from([name(&full)]);
    for key in full.keys() {
        let mut changed = full.clone();
        let other = match (key.as_str(), &full[key]) {
            ("dataset", _) => "mnist".into(),
            ("evaluate_on", _) => "tuning".into(),
            ("encoder", _) => "conv".into(),
            ("head", _) => "default".into(),
            ("stem", _) => "small".into(),
            ("objective", _) => "contrastive".into(),
            ("negatives", _) => "hardest:5%".into(),
            ("selection", _) => "easiest:5%".into(),
            ("optimiser", _) => "lars".into(),
            ("learning_rate_rule", _) => "constant".into(),
            ("augmentation" | "imbalance" | "images" | "monitor" | "queue" | "loss", _) => continue,
            (_, toml::Value::Integer(x)) => (x + 1).into(),
            (_, toml::Value::Float(x)) => (x / 2.0).into(),
            (_, toml::Value::Boolean(x)) => (!x).into(),
            (key, value) => panic!("{key} = {value}: which other value?"),
        };
        changed.insert(key.clone(), other);
        assert_eq!(names.insert(name(&changed)), key != "seed", "{key}");
    }
    let mut deep = full;
    for (table, key, other) in [
        ("augmentation", "max_noise", toml::Value::Float(0.2)),
        ("imbalance", "ratio", toml::Value::Float(11.0)),
        ("images", "side", toml::Value::Integer(33)),
        ("queue", "momentum", toml::Value::Float(0.25)),
        ("loss", "kind", "flat-nce".into()),
        ("monitor", "every", toml::Value::Integer(3)),
        ("monitor", "metric", "info_nce".into()),
    ] {
        deep[table][key] = other;
        assert!(names.insert(name(&deep)), "{table}.{key}");
    }
}

#[test]
fn the_stem_of_the_cifar_presets_is_the_papers() {
    let padding = |name: &str, overrides: &[&str]| {
        let overrides: Vec<String> = overrides.iter().map(ToString::to_string).collect();
        Preset::named(name, &overrides).map(|preset| preset.config.stem_padding)
    };
    for name in ["cifar10", "cifar100"] {
        assert_eq!(padding(name, &[]).unwrap(), 3);
        assert_eq!(padding(name, &["stem_padding=1"]).unwrap(), 1);
        // Other encoders have no such stem.
        for form in ["quick", "small"] {
            assert_eq!(padding(&format!("{name}-{form}"), &[]).unwrap(), 1);
        }
    }
}

#[test]
fn a_folder_is_trained_on_as_a_whole() {
    let number = |overrides: &[&str]| {
        let overrides: Vec<String> = overrides.iter().map(ToString::to_string).collect();
        Preset::named("cifar10-small", &overrides).unwrap().config.train_samples
    };
    assert!(number(&[]).is_some() && number(&["dataset=cifar100"]) == number(&[]));
    assert_eq!(number(&["dataset=folder"]), None);
    assert_eq!(number(&["dataset=folder", "train_samples=50"]), Some(50));
    assert_eq!(number(&["dataset=shards"]), None);
}

#[test]
fn when_images_are_decoded_leaves_the_name_as_it_is_and_their_order_does_not() {
    let name = |overrides: &[&str]| with(overrides).unwrap().settings_id();
    assert_eq!(name(&["images.cache=false"]), name(&[]));
    assert_eq!(name(&["images.cache=false", "images.side=9"]), name(&["images.side=9"]));
    assert_ne!(name(&["images.shuffle_buffer=100"]), name(&[]));
    assert!(!with(&["images.cache=true"]).unwrap().to_toml().contains("images"));
    assert!(with(&["images.cache=false"]).unwrap().to_toml().contains("[images]\ncache = false\n"));
    let refused = with(&["images.shuffle_buffer=0"]).unwrap_err().to_string();
    assert!(refused.contains("images.shuffle_buffer = 0"), "{refused}");
}

#[test]
fn to_look_on_leaves_the_name_as_it_is() {
    let name = |overrides: &[&str]| with(overrides).unwrap().settings_id();
    assert_eq!(name(&["monitor.every=2", "monitor.metric=info_nce"]), name(&[]));
    assert_ne!(name(&["monitor.early_stop=2"]), name(&[]));
    assert_ne!(name(&["monitor.keep_best=true"]), name(&["monitor.every=2", "monitor.keep_best=true"]));
}

#[test]
fn the_settings_of_the_data_reach_the_data() {
    let config = with(&["train_samples=300", "imbalance.ratio=4", "evaluate_on=tuning"]).unwrap();
    let split = crate::data::load(&config.data(None)).unwrap();
    let (counts, evaluated) = (split.train.class_counts(), split.evaluated.class_counts());
    assert_eq!((counts.iter().sum::<u64>(), evaluated), (300, vec![27; 10]));
    assert!(counts[0] > 3 * counts[9], "{counts:?}");
}

fn objective(overrides: &[&str]) -> Objective {
    with(overrides).unwrap().training_objective().unwrap()
}

#[test]
fn k_and_n_are_not_mixed() {
    let of = |overrides: &[&str]| {
        let it = objective(overrides);
        (it.train_negatives(), it.effective_negatives(), it.evaluated_draws(), it.loss_name())
    };
    for (overrides, expected) in [
        (&["batch_size=64"][..], (126, Some(126), 64, "nt_xent")),
        (&["batch_size=256", "negatives=15"], (15, Some(15), 16, "info_nce_sampled")),
        (&["batch_size=64", "negatives=hardest:5%"], (126, Some(6), 64, "nt_xent")),
        (&["batch_size=64", "selection=hardest:5%"], (126, Some(6), 64, "nt_xent")),
        (&["negatives=20", "selection=easiest:50%"], (20, Some(10), 21, "info_nce_sampled")),
        (
            &["batch_size=64", "queue.size=65536", "negatives=drop-hardest:0.1%"],
            (65_536, Some(65_471), 64, "info_nce_queue"),
        ),
        (
            &["batch_size=64", "queue.size=100", "negatives=queue", "selection=random:50%", "loss=dcl"],
            (100, Some(50), 64, "dcl_queue"),
        ),
        (&["negatives=15", "loss.kind=hard", "loss.beta=2"], (15, Some(15), 16, "hard_sampled, beta = 2")),
        (&["batch_size=64", "loss=nscl"], (126, None, 64, "nscl")),
        (&["batch_size=64", "objective=cross-entropy"], (0, Some(0), 64, "cross_entropy")),
        (&["negatives=15", "objective=cross-entropy"], (0, Some(0), 16, "cross_entropy")),
    ] {
        let (k, effective, n, name) = expected;
        assert_eq!(of(overrides), (k, effective, n, name.to_string()), "{overrides:?}");
    }
    assert_eq!(objective(&["queue.size=4096", "negatives=queue"]).queue().unwrap().momentum, 0.999);
    // Two ways to write one objective.
    assert_eq!(objective(&["negatives=hardest:5%"]), objective(&["selection=hardest:5%"]));
}

#[test]
fn a_loss_is_a_word_or_a_table() {
    let (word, table) = (with(&["loss=dcl"]).unwrap(), with(&["loss.kind=dcl"]).unwrap());
    assert_eq!(word, table);
    let debiased = with(&["loss.kind=debiased", "loss.class_probability=0.05"]).unwrap();
    assert_eq!(debiased.loss, LossKind::Debiased { class_probability: 0.05 });
    assert_eq!(with(&["loss=debiased"]).unwrap().loss, LossKind::Debiased { class_probability: 0.1 });
    let hard = with(&["loss.kind=hard", "loss.beta=2"]).unwrap();
    assert_eq!(hard.loss, LossKind::Hard { class_probability: 0.1, beta: 2.0 });
    assert_eq!(with(&["loss=nt-xent"]).unwrap(), with(&[]).unwrap());
    assert!(!with(&[]).unwrap().to_toml().contains("loss"), "settings of old runs read as they did");
}

#[test]
fn bad_settings_name_the_key() {
    for (overrides, expected) in [
        (vec!["epoch=3"], "epoch"),
        (vec!["epochs=0"], "epochs = 0"),
        (vec!["epochs=x"], "epochs"),
        (vec!["epochs=9223372036854775807"], "epochs = 9223372036854775807"),
        (vec!["augmentation.max_scale=nan"], "augmentation.max_scale = NaN"),
        (vec!["temperature=-1"], "temperature = -1"),
        (vec!["negatives=64"], "negatives = 64"),
        (vec!["negatives=-3"], "negatives = -3"),
        (vec!["negatives=all"], "negatives = 'all'"),
        (vec!["negatives=0.5"], "0.5"),
        (vec!["negatives=0.5"], "hardest:5%"),
        (vec!["negatives=hardest:0.1%"], "'hardest:0.1%' keeps none of K = 126"),
        (vec!["negatives=hardest:100.1%"], "hardest:100.1%"),
        (vec!["negatives=queue"], "needs [queue]"),
        (vec!["queue.size=4096"], "negatives = batch beside [queue]"),
        (vec!["queue.size=63", "negatives=queue"], "queue.size = 63"),
        (vec!["queue.size=16777217", "negatives=queue"], "queue.size = 16777217"),
        (vec!["queue.size=64", "negatives=queue", "queue.momentum=1"], "queue.momentum = 1"),
        (vec!["queue.size=64", "negatives=queue", "queue.warm=true"], "warm"),
        (vec!["encoder=resnet"], "resnet"),
        (vec!["augmentation.flip=1"], "flip"),
        (vec!["seed"], "key=value"),
        (vec!["monitor.keep_best=true", "loss=nscl"], "need evaluate_on = tuning"),
        (vec!["monitor=5"], "expected a table"),
        (vec!["monitor.every=-1"], "expected a whole number of at least 0"),
        (vec!["monitor.every=0"], "monitor.every = 0"),
        (vec!["monitor.early_stop=0"], "monitor.early_stop = 0"),
        (vec!["monitor.metric=accuracy"], "accuracy"),
        (vec!["monitor.often=1"], "often"),
        (vec!["loss=simclr"], "simclr"),
        (vec!["loss=3"], "such as \"dcl\""),
        (vec!["loss.sigma=0.5"], "kind"),
        (vec!["loss.kind=dcl", "loss.sigma=0.5"], "sigma"),
        (vec!["loss.kind=debiased", "loss.class_probability=1"], "loss.class_probability = 1"),
        (vec!["loss.kind=hard", "loss.beta=nan"], "loss.beta = NaN"),
        (vec!["loss.kind=dclw", "loss.sigma=0"], "loss.sigma = 0"),
        (vec!["selection=hardest"], "'hardest'"),
        (vec!["negatives=15", "selection=hardest:1%"], "'hardest:1%' keeps none of K = 15"),
        (
            vec!["negatives=hardest:5%", "selection=easiest:5%"],
            "negatives = hardest:5% is a selection already, beside selection = easiest:5%",
        ),
        (vec!["selection=hardest:5%", "objective=cross-entropy"], "selection: the objective cross-entropy"),
        (vec!["negatives=hardest:5%", "objective=cross-entropy"], "selection: the objective cross-entropy"),
        (vec!["queue.size=64", "negatives=queue", "objective=cross-entropy"], "[queue]: the objective"),
        (vec!["queue.size=64", "negatives=queue", "loss=nscl"], "loss = nscl beside [queue]"),
        (vec!["loss=nscl", "objective=cross-entropy"], "objective = cross-entropy"),
    ] {
        let message = with(&overrides).unwrap_err().to_string();
        assert!(message.contains(expected) && !message.contains('\n'), "{message}");
    }
}
