//! State dicts with the names that libraries give: of their sources, as far as they were at hand (lightly 1.6.0,
//! solo-learn 1.0.2), else of the repositories named.

use super::tests::{PLAIN, file as fixture, load, network, values};
use super::*;
use crate::model::Head;
use std::collections::HashMap;

type Entries = Vec<(String, Tensor)>;

/// A ResNet-18 of one channel, under torchvision's names, without head and classifier.
fn backbone() -> Entries {
    let mut plain = file::open(&fixture("plain.pt")).unwrap();
    let names: Vec<String> = plain.shapes().into_keys().collect();
    let inside = names.iter().filter(|name| name.starts_with("encoder.") && !name.contains(".fc."));
    inside
        .map(|name| {
            let tensor = plain.get(name).unwrap().unwrap().to_dtype(DType::F32).unwrap();
            (name["encoder.".len()..].to_string(), tensor)
        })
        .collect()
}

/// A tensor of distinct numbers.
fn numbers(shape: &[usize]) -> Tensor {
    let count = shape.iter().product::<usize>() as f32;
    Tensor::arange(0f32, count, &Device::Cpu).unwrap().affine(0.01, 0.1).unwrap().reshape(shape).unwrap()
}

fn head(entries: &[(&str, &[usize])]) -> Entries {
    entries.iter().map(|(name, shape)| ((*name).to_string(), numbers(shape))).collect()
}

fn renamed(name: impl Fn(&str) -> String) -> Entries {
    backbone().into_iter().map(|(key, tensor)| (name(&key), tensor)).collect()
}

/// torchvision's modules in a `nn.Sequential`, whose stages begin at this number.
fn numbered(prefix: &str, first: usize) -> impl Fn(&str) -> String {
    move |key| {
        let (layer, rest) = key.split_once('.').unwrap();
        let number = match layer {
            "conv1" => 0,
            "bn1" => 1,
            stage => first + stage.strip_prefix("layer").unwrap().parse::<usize>().unwrap() - 1,
        };
        format!("{prefix}{number}.{rest}")
    }
}

/// Reads these entries, by these prefixes, into a network of their head: the network and the remarks.
fn read(entries: &[(String, Tensor)], prefixes: &[&str]) -> Result<(Network, Vec<String>)> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.pt");
    write::save(&path, entries).unwrap();
    let prefixes: Vec<String> = prefixes.iter().map(|&prefix| prefix.into()).collect();
    let mut weights = Weights::open(&path, &prefixes)?;
    let network =
        Network::of_width(weights.model(1), 1, crate::data::InputKind::Images([9, 7, 3]), 7, &Device::Cpu)?;
    weights.load(&network)?;
    Ok((network, weights.remarks().to_vec()))
}

/// Whether the encoder is that of `plain.pt`.
fn has_the_encoder(found: &Network) {
    let expected = network(PLAIN, 1);
    load(&expected, &fixture("plain.pt")).unwrap();
    let parts = |network: &Network| -> HashMap<String, Vec<f64>> {
        let tensors = network.parameters().tensors().unwrap().into_iter();
        tensors.filter(|(name, _)| name.starts_with("encoder.")).map(|(name, t)| (name, values(&t))).collect()
    };
    assert_eq!(parts(found), parts(&expected));
}

#[test]
fn names_of_libraries_are_read() {
    let shortcut =
        |prefix: &'static str| move |key: &str| format!("{prefix}{}", key.replace("downsample", "shortcut"));
    let mlp: [(&str, &[usize]); 2] = [("0.weight", &[8, 8]), ("0.bias", &[8])];
    let with = |encoder: Entries, prefix: &str, last: &[(&str, &[usize])]| {
        let layers = mlp.iter().chain(last).map(|(name, shape)| (format!("{prefix}{name}"), numbers(shape)));
        encoder.into_iter().chain(layers).collect::<Vec<_>>()
    };
    let biased: &[(&str, &[usize])] = &[("2.weight", &[5, 8]), ("2.bias", &[5])];
    let plain = "linear 8 + b, ReLU, linear 5 + b";
    // lightly: `nn.Sequential(*list(resnet.children())[:-1])`, its SimCLR head with a last normalisation.
    let lightly = head(&[
        ("projection_head.layers.0.weight", &[8, 8]),
        ("projection_head.layers.1.weight", &[8]),
        ("projection_head.layers.1.bias", &[8]),
        ("projection_head.layers.1.running_mean", &[8]),
        ("projection_head.layers.1.running_var", &[8]),
        ("projection_head.layers.3.weight", &[5, 8]),
        ("projection_head.layers.4.running_mean", &[5]),
        ("projection_head.layers.4.running_var", &[5]),
        ("online_classifier.linear.weight", &[10, 8]),
        ("online_classifier.linear.bias", &[10]),
    ]);
    let cases: Vec<(&str, Entries, &str)> = vec![
        ("torchvision", [backbone(), head(&[("fc.weight", &[10, 8]), ("fc.bias", &[10])])].concat(), "none"),
        ("backbone only", backbone(), "none"),
        (
            "lightly",
            [renamed(numbered("backbone.", 4)), lightly].concat(),
            "linear 8, norm, ReLU, linear 5, norm",
        ),
        (
            "lightly's ResNetGenerator",
            [renamed(shortcut("backbone.")), head(&[("backbone.linear.weight", &[10, 8])])].concat(),
            "none",
        ),
        ("lightly's ResNetGenerator in a Sequential", renamed(numbered("backbone.", 2)), "none"),
        // leftthomas/SimCLR: without pooling, so that the stages begin at 3.
        ("leftthomas", with(renamed(numbered("f.", 3)), "g.", biased), plain),
        // HobbitLong/SupContrast, the encoder alone behind DataParallel.
        ("SupContrast", with(renamed(shortcut("encoder.module.")), "head.", biased), plain),
        // SupContrast's linear head.
        (
            "SupContrast, linear",
            [renamed(shortcut("encoder.")), head(&[("head.weight", &[5, 8]), ("head.bias", &[5])])].concat(),
            "linear 5 + b",
        ),
        // solo-learn: SimCLR with an online classifier.
        (
            "solo-learn",
            [
                with(renamed(|key| format!("encoder.{key}")), "projector.", biased),
                head(&[("classifier.weight", &[10, 8])]),
            ]
            .concat(),
            plain,
        ),
        // MoCo's first version: the last layer is the head, not a classifier.
        (
            "MoCo",
            [
                renamed(|key| format!("module.encoder_q.{key}")),
                head(&[("module.encoder_q.fc.weight", &[5, 8]), ("module.encoder_q.fc.bias", &[5])]),
            ]
            .concat(),
            "linear 5 + b",
        ),
        // sthalles/SimCLR: the head is the network's last layer.
        ("sthalles", with(renamed(|key| format!("backbone.{key}")), "backbone.fc.", biased), plain),
    ];
    for (library, entries, layers) in cases {
        let (network, remarks) = read(&entries, &[]).unwrap_or_else(|e| panic!("{library}: {e}"));
        has_the_encoder(&network);
        assert_eq!(network.options().stem_relu, !library.ends_with("Sequential"), "{library}");
        let Head::Layers(found) = network.options().head else { panic!("{library}") };
        assert_eq!(found.to_string(), layers, "{library}: {remarks:?}");
    }
}

/// Momentum networks beside the others: the others are read, unless somebody chooses.
#[test]
fn one_of_several_encoders_is_read() {
    let moco = |suffix: &str| {
        let prefix = format!("module.encoder_{suffix}.");
        let layers = [
            ("fc.0.weight", [8, 8].as_slice()),
            ("fc.0.bias", &[8]),
            ("fc.2.weight", &[5, 8]),
            ("fc.2.bias", &[5]),
        ];
        let head = layers.map(|(name, shape)| (format!("{prefix}{name}"), numbers(shape)));
        [renamed(|key| format!("{prefix}{key}")), head.to_vec()].concat()
    };
    let queue = vec![("module.queue".to_string(), numbers(&[5, 16]))];
    let mut second = moco("k");
    for (_, tensor) in &mut second {
        *tensor = tensor.affine(2.0, 0.0).unwrap();
    }
    let both = [moco("q"), second, queue].concat();
    let (network, remarks) = read(&both, &[]).unwrap();
    has_the_encoder(&network);
    assert_eq!(network.head_name(), "8-8-5");
    assert_eq!(
        remarks[0],
        "the encoder 'module.encoder_q.' is read, not 'module.encoder_k.'; --torch-prefix chooses"
    );
    assert_eq!(remarks[1], "the head 'module.encoder_q.fc' is read as linear 8 + b, ReLU, linear 5 + b");
    assert_eq!(remarks[2], "105 entries are not used, such as 'module.encoder_k.bn1.bias'");
    assert!(remarks.iter().all(|remark| remark.len() < 130), "{remarks:?}");
    let (other, _) = read(&both, &["module.encoder_k"]).unwrap();
    let stem = |network: &Network| values(&network.parameters().tensors().unwrap()[0].1);
    let doubled: Vec<f64> = stem(&network).iter().map(|value| 2.0 * value).collect();
    assert_eq!(stem(&other), doubled);
    let error = read(&both, &["encoder_k"]).err().unwrap().to_string();
    let known = "'encoder_k', but behind 'module.encoder_k.', 'module.encoder_q.', 'module.encoder_k.fc', ";
    assert!(error.contains(known), "{error}");
}

/// One, three layers, other widths, and what is no chain of them.
#[test]
fn heads_of_any_layers_are_read() {
    let three: &[(&str, &[usize])] = &[
        ("projector.0.weight", &[6, 8]),
        ("projector.1.weight", &[6]),
        ("projector.1.bias", &[6]),
        ("projector.1.running_mean", &[6]),
        ("projector.1.running_var", &[6]),
        ("projector.3.weight", &[7, 6]),
        ("projector.3.bias", &[7]),
        ("projector.10.weight", &[3, 7]),
        ("predictor.0.weight", &[3, 3]),
    ];
    let (network, _) = read(&[backbone(), head(three)].concat(), &[]).unwrap();
    assert_eq!(network.head_name(), "8-6-7-3");
    let input = crate::model::Input::Images(Tensor::ones((2, 9, 7, 3), DType::F32, &Device::Cpu).unwrap());
    assert_eq!(network.forward(&input).unwrap().head.dims(), [2, 3]);
    let refused = |entries: &[(&str, &[usize])]| {
        let error = read(&[backbone(), head(entries)].concat(), &[]).err().unwrap().to_string();
        assert!(error.ends_with("; features of any encoder are read too: docs/features.md"), "{error}");
        error
    };
    let layer_norm: &[(&str, &[usize])] = &[
        ("head.0.weight", &[6, 8]),
        ("head.1.weight", &[6]),
        ("head.1.bias", &[6]),
        ("head.3.weight", &[3, 6]),
    ];
    let error = refused(layer_norm);
    assert!(error.contains("the head 'head': 'head.1' is neither a linear layer nor"), "{error}");
    let gap: &[(&str, &[usize])] = &[("head.0.weight", &[6, 8]), ("head.2.weight", &[3, 5])];
    assert!(refused(gap).contains("'head.2.weight' takes 5 numbers, not the 6 before it"));
    // Names without numbers do not tell in which order the layers come: not to be taken for a file without a head.
    let named: &[(&str, &[usize])] =
        &[("projection_head.first.weight", &[6, 8]), ("projection_head.deep.weight", &[3, 6])];
    let error = refused(named);
    assert!(error.contains("'projection_head' is named as a head, but"), "{error}");
    // A classifier beside the encoder is no head.
    for classifier in ["fc.weight", "linear.weight"] {
        let entries = [renamed(|key| format!("f.{key}")), head(&[(classifier, &[10, 8])])].concat();
        let (network, _) = read(&entries, &[]).unwrap();
        let input =
            crate::model::Input::Images(Tensor::ones((2, 9, 7, 3), DType::F32, &Device::Cpu).unwrap());
        assert_eq!(network.forward(&input).unwrap().head.dims(), [2, 8], "{classifier}");
    }
    let two: &[(&str, &[usize])] = &[("head_a.0.weight", &[6, 8]), ("head_b.0.weight", &[6, 8])];
    assert!(refused(two).contains("several heads, 'head_a', 'head_b': choose one with --torch-prefix"));
    let (chosen, _) = read(&[backbone(), head(two)].concat(), &["head_b"]).unwrap();
    assert_eq!(chosen.head_name(), "8-6");
    let deeper = [backbone(), head(&[("layer1.2.conv1.weight", &[1, 1, 3, 3])])].concat();
    let error = read(&deeper, &[]).err().unwrap().to_string();
    assert!(error.contains("behind '', the four stages have [3, 2, 2, 2] basic blocks: neither"), "{error}");
    // By its numbers, a 7×7 stem without the pooling that belongs behind it.
    let mut entries = renamed(numbered("f.", 3));
    entries.iter_mut().filter(|(key, _)| key == "f.0.weight").for_each(|(_, t)| *t = numbers(&[1, 3, 7, 7]));
    let error = read(&entries, &[]).err().unwrap().to_string();
    assert!(error.contains("no number for a pooling behind the stem of 7×7"), "{error}");
}
