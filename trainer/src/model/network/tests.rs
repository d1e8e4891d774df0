use super::super::{Head, Stem};
use super::*;
use crate::loss::nt_xent;
use crate::optim::{Optimiser, OptimiserKind};
use measure::rng::normal;
use rand::Rng;
use std::collections::HashMap;

const DEFAULT: [(Architecture, [usize; 3]); 6] = [
    (Architecture::Mlp, [8, 8, 1]),
    (Architecture::Conv, [8, 8, 1]),
    (Architecture::Conv, [7, 5, 3]),
    (Architecture::PlainMlp, [4, 4, 3]),
    (Architecture::Small, [8, 8, 3]),
    (Architecture::Resnet18, [6, 4, 3]),
];

const PAPER: Options = Options { head: Head::Paper, stem: Stem::Small, stem_padding: 1, stem_relu: true };

const IMAGENET: Options =
    Options { head: Head::Default, stem: Stem::Imagenet, stem_padding: 1, stem_relu: true };

/// The default networks, then those with other options, then deeper ones, narrow.
fn all() -> impl Iterator<Item = (Network, [usize; 3])> {
    let others = [
        (Architecture::Conv, PAPER, [7, 5, 3]),
        (Architecture::PlainMlp, PAPER, [4, 4, 3]),
        (Architecture::Resnet18, Options::PUBLISHED, [5, 4, 3]),
    ];
    let others = others.map(|(architecture, options, image)| (Model { architecture, options }, WIDTH, image));
    let deeper = [
        (Architecture::Resnet18, IMAGENET, [20, 13, 3]),
        (Architecture::Resnet34, PAPER, [9, 6, 3]),
        (Architecture::Resnet50, Options::default(), [9, 6, 3]),
        (Architecture::Resnet50, IMAGENET, [20, 13, 3]),
    ];
    let deeper = deeper.map(|(architecture, options, image)| (Model { architecture, options }, 4, image));
    let default = DEFAULT.map(|(architecture, image)| (architecture.into(), WIDTH, image));
    default
        .into_iter()
        .chain(others)
        .chain(deeper)
        .map(|(model, width, image)| (of_width(model, width, image, 7), image))
}

fn of_width(model: Model, width: usize, image: [usize; 3], seed: u64) -> Network {
    Network::of_width(model, width, image.into(), seed, &Device::Cpu).unwrap()
}

fn images(count: usize, [height, width, channels]: [usize; 3], seed: u64) -> Input {
    let mut rng = stream(seed, Purpose::Evaluation, 0);
    let values: Vec<f32> = (0..count * height * width * channels).map(|_| normal(&mut rng)).collect();
    Input::Images(Tensor::from_vec(values, (count, height, width, channels), &Device::Cpu).unwrap())
}

fn network(model: impl Into<Model>, image: [usize; 3]) -> Network {
    Network::new(model, image, 7, &Device::Cpu).unwrap()
}

#[test]
fn shapes_and_checkpoints() {
    for (first, image) in all() {
        let images = images(6, image, 1);
        first.forward_train(&images).unwrap(); // moves the running statistics
        let output = first.forward(&images).unwrap();
        let [encoder, head] = [&output.encoder, &output.head].map(|features| features.dim(1).unwrap());
        let name = first.head_name();
        assert!(name.starts_with(&format!("{encoder}-")) && name.ends_with(&format!("-{head}")), "{name}");
        assert_eq!(
            (output.encoder.dim(0).unwrap(), output.head.dims()),
            (6, &[6, first.head_features()][..])
        );
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        first.parameters().save(&path).unwrap();
        let width = first.parameters().all()[0].shape[0];
        let other = of_width(first.model, width, image, 8);
        other.parameters().load(&path).unwrap();
        let again = other.forward(&images).unwrap();
        assert_eq!(again.head.to_vec2::<f32>().unwrap(), output.head.to_vec2::<f32>().unwrap());
    }
}

#[test]
fn the_benchmarked_networks_have_their_peers_parameters() {
    // As counted by PyTorch: sum(p.numel() for p in network(kind).parameters()).
    let counts = [
        (Architecture::PlainMlp, 3_999_872),
        (Architecture::Small, 487_456),
        (Architecture::Resnet18, 11_497_024),
        (Architecture::Resnet50, 27_958_848),
    ];
    for (architecture, count) in counts {
        assert_eq!(network(architecture, [32, 32, 3]).parameters().num_trained(), count, "{architecture:?}");
    }
    // torchvision's own count of its ResNet-34 (21,797,672) and ResNet-50 (25,557,032), their classifiers out, the head
    // in.
    for (architecture, encoder, head) in [
        (Architecture::Resnet34, 21_797_672 - 513_000, 512 * 513 + 512 * 128),
        (Architecture::Resnet50, 25_557_032 - 2_049_000, 2048 * 2049 + 2048 * 128),
    ] {
        let model = Model { architecture, options: IMAGENET };
        assert_eq!(
            network(model, [32, 32, 3]).parameters().num_trained(),
            encoder + head,
            "{architecture:?}"
        );
    }
}

/// Results of old runs stay reproducible only while these do not change: the first and the last weight, and the sum of
/// squares.
#[test]
fn initial_weights_are_part_of_the_interface() {
    let expected = [
        (165_376, -4.158_966_2e-2, -1.277_779_3e-1, 2.434_280_272_683e3),
        (105_840, -1.109_057_74e-1, -1.166_124_9e-1, 1.224_823_812_079e3),
        (106_128, -6.403_148e-2, 8.014_431e-2, 1.228_264_345_862e3),
        (903_296, -4.802_361e-2, 0.0, 4.359_668_617_473e3),
        (487_456, -6.403_148e-2, -9.474_053e-2, 2.199_848_705_407e3),
        (11_497_024, -6.403_148e-2, -5.173_548_6e-3, 1.568_348_158_083e4),
    ];
    for ((architecture, image), (count, first, last, squares)) in DEFAULT.into_iter().zip(expected) {
        let values = network(architecture, image).parameters().flat().to_vec1::<f32>().unwrap();
        assert_eq!(values.len(), count, "{architecture:?}");
        // Within a few ulps: ln and cos are the platform's.
        let near = |found: f32, expected: f32| (found - expected).abs() <= 1e-6 * expected.abs();
        assert!(near(values[0], first) && near(values[count - 1], last), "{architecture:?}");
        let found: f64 = values.iter().map(|v| f64::from(*v).powi(2)).sum();
        assert!((found / squares - 1.0).abs() < 1e-7, "{architecture:?} {found:e}");
    }
}

#[test]
fn heads_are_named_by_their_sizes() {
    let name = |architecture, options, image| network(Model { architecture, options }, image).head_name();
    let default = Options::default();
    assert_eq!(name(Architecture::Mlp, default, [8, 8, 1]), "256-256-64");
    assert_eq!(name(Architecture::Conv, default, [7, 5, 3]), "256-256-64");
    assert_eq!(name(Architecture::Conv, PAPER, [16, 8, 3]), "512-512-128");
    assert_eq!(name(Architecture::PlainMlp, default, [4, 4, 3]), "512-128");
    assert_eq!(name(Architecture::PlainMlp, PAPER, [4, 4, 3]), "512-512-128");
    assert_eq!(name(Architecture::Resnet18, Options::PUBLISHED, [4, 4, 3]), "512-512-128");
}

/// The bias before a normalisation moves its running mean and nothing else.
#[test]
fn the_paper_head_has_a_bias_and_a_normalisation() {
    let [plain, paper] = [Options::default(), PAPER]
        .map(|options| network(Model { architecture: Architecture::Resnet18, options }, [4, 4, 3]));
    let names =
        |network: &Network| network.parameters().trained().map(|p| p.name.clone()).collect::<Vec<_>>();
    let (plain, paper) = (names(&plain), names(&paper));
    let added: Vec<&str> = paper.iter().filter(|name| !plain.contains(name)).map(String::as_str).collect();
    assert_eq!(added, ["head.0.norm.weight", "head.0.norm.bias"]);
    assert!(plain.iter().all(|name| paper.contains(name)));
}

#[test]
fn a_stem_with_more_zeros_sees_a_padded_image() {
    // Two more zeros on every side in the stem, or of the image.
    let image = images(3, [6, 5, 3], 2);
    let padded = image.images().unwrap().pad_with_zeros(1, 2, 2).unwrap().pad_with_zeros(2, 2, 2).unwrap();
    let published = Model { architecture: Architecture::Resnet18, options: Options::PUBLISHED };
    let plain = Model { architecture: Architecture::Resnet18, options: PAPER };
    let found = network(published, [6, 5, 3]).forward(&image).unwrap();
    let expected = network(plain, [10, 9, 3]).forward(&Input::Images(padded)).unwrap();
    assert_eq!(found.head.to_vec2::<f32>().unwrap(), expected.head.to_vec2::<f32>().unwrap());
    let refused = |architecture, stem_padding| {
        let options = Options { stem_padding, ..Options::default() };
        let model = Model { architecture, options };
        Network::new(model, [8, 8, 3], 7, &Device::Cpu).map(|_| ()).unwrap_err().to_string()
    };
    let message = refused(Architecture::Small, 3);
    assert_eq!(
        message,
        "stem_padding is 3; only a residual network, such as resnet18, can have another than 1, not small"
    );
    assert_eq!(refused(Architecture::Resnet18, 4), "stem_padding is 4; resnet18 takes 1, 2 or 3");
}

/// A sixteenth of the pixels, and ResNet-50's bottlenecks: multiplications as torchvision counts them (4.09 G, its
/// classifier's 2.05 M out), and the head's.
#[test]
fn the_stem_of_imagenet_is_torchvisions() {
    let resnet50 = Model { architecture: Architecture::Resnet50, options: IMAGENET };
    let count = network(resnet50, [224, 224, 3]).multiplications_per_image().unwrap();
    let head = 2048.0 * (2048.0 + 128.0);
    // Forward and two gradients, but for the gradient of the images.
    let stem = 112.0 * 112.0 * 64.0 * 147.0;
    assert_eq!(count, 3.0 * (4_089_184_256.0 - 2_048_000.0 + head) - stem);
    let refused = |architecture, options| {
        Network::new(Model { architecture, options }, [32, 32, 3], 7, &Device::Cpu).err().unwrap().to_string()
    };
    let message = refused(Architecture::Small, IMAGENET);
    assert_eq!(message, "stem = imagenet: only a residual network has it, such as resnet18, not small");
    let message = refused(Architecture::Resnet50, Options { stem_padding: 2, ..IMAGENET });
    assert_eq!(message, "stem_padding is 2; it is the small stem's, and stem = imagenet pads by 3");
}

#[test]
fn options_are_read_from_settings() {
    let options: Options = toml::from_str("head = \"paper\"\nstem_padding = 3").unwrap();
    assert_eq!(options, Options::PUBLISHED);
    assert_eq!(toml::from_str::<Options>("").unwrap(), Options::default());
    assert_eq!(toml::from_str::<Options>("stem = \"imagenet\"").unwrap(), IMAGENET);
    assert!(toml::from_str::<Options>("stem = 3").is_err());
}

/// The loss in training mode; running statistics do not enter it.
fn loss(network: &Network, images: &Input) -> f64 {
    let (output, _) = network.forward_train(images).unwrap();
    f64::from(nt_xent(&output.head, 0.5).unwrap().value.to_scalar::<f32>().unwrap())
}

/// The loss with one parameter moved along a direction.
fn moved(network: &Network, images: &Input, start: usize, direction: &[f64], step: f64) -> f64 {
    let state = network.parameters().flat();
    let before = state.copy().unwrap();
    let mut values = before.to_vec1::<f32>().unwrap();
    for (value, d) in values[start..].iter_mut().zip(direction) {
        *value += (step * d) as f32;
    }
    let length = values.len();
    state.slice_set(&Tensor::from_vec(values, length, &Device::Cpu).unwrap(), 0, 0).unwrap();
    let loss = loss(network, images);
    state.slice_set(&before, 0, 0).unwrap();
    loss
}

#[test]
fn backward_passes_are_directional_derivatives() {
    for (network, image) in all() {
        let (model, images) = (network.model, images(6, image, 3));
        let parameters = network.parameters();
        // A gradient that no layer writes stays NaN.
        let length = parameters.num_trained();
        let nan = Tensor::full(f32::NAN, length, &Device::Cpu).unwrap();
        parameters.gradients().unwrap().slice_set(&nan, 0, 0).unwrap();
        let (output, tape) = network.forward_train(&images).unwrap();
        network.backward(tape, nt_xent(&output.head, 0.5).unwrap().gradient).unwrap();
        let gradient = parameters.gradients().unwrap().to_vec1::<f32>().unwrap();
        for parameter in parameters.trained() {
            let gradient = &gradient[parameter.start..parameter.start + parameter.len()];
            assert!(gradient.iter().all(|g| g.is_finite()), "{model:?} {}", parameter.name);
            // ResNet-18 repeats itself, and its passes take long: one block of each kind, and the widest; with other
            // options, which say nothing about blocks, stem and head.
            let name = &parameter.name;
            let default = model.options == Options::default();
            let skipped: &[&str] = match model.architecture {
                // In what lies below its last stage the loss of a deep network is too rough for differences.
                Architecture::Resnet34 | Architecture::Resnet50 => {
                    &["encoder.0", "layer1", "layer2", "layer3"]
                }
                _ if default => &["layer1.1", "layer2.1", "layer3"],
                _ => &["layer"],
            };
            if skipped.iter().any(|block| name.contains(block)) {
                continue;
            }
            // Along about half of the entries of the gradient, chosen at random: entries that are wrong by a common
            // factor would not show along all of them.
            let mut rng = stream(parameter.start as u64, Purpose::Evaluation, 0);
            let mut half = |g: &f32| if normal(&mut rng) > 0.0 { f64::from(*g) } else { 0.0 };
            let mut direction: Vec<f64> = gradient.iter().map(&mut half).collect();
            let norm = direction.iter().map(|d| d * d).sum::<f64>().sqrt();
            assert!(norm > 0.0, "{model:?} {name}");
            direction.iter_mut().for_each(|d| *d /= norm);
            // A compromise between f32 rounding of the loss (about 1e-7/step) and kinks of the ReLU.
            let step = 2e-3 / norm.max(1.0);
            let slope = |step: f64| moved(&network, &images, parameter.start, &direction, step);
            let numeric = (slope(step) - slope(-step)) / (2.0 * step);
            assert!((numeric - norm).abs() < 0.05 * norm + 5e-4, "{model:?} {name}: {numeric} {norm}");
        }
    }
}

#[test]
fn a_second_optimiser_starts_from_nothing() {
    use crate::optim::{Optimiser, OptimiserKind};
    let image = [4, 4, 3];
    let batch = images(6, image, 5);
    let mut first = network(Architecture::PlainMlp, image);
    let step = |network: &mut Network, optimiser: &mut Optimiser| {
        let (output, tape) = network.forward_train(&batch).unwrap();
        network.backward(tape, nt_xent(&output.head, 0.5).unwrap().gradient).unwrap();
        optimiser.step(network.parameters(), 0.01).unwrap();
    };
    let new = |network: &mut Network| {
        Optimiser::new(OptimiserKind::AdamW, 0.0, 0.0, network.parameters_mut()).unwrap()
    };
    let mut optimiser = new(&mut first);
    step(&mut first, &mut optimiser);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    first.parameters().save(&path).unwrap();
    let mut second = network(Architecture::PlainMlp, image);
    second.parameters().load(&path).unwrap();
    let (mut optimiser, mut fresh) = (new(&mut first), new(&mut second));
    step(&mut first, &mut optimiser);
    step(&mut second, &mut fresh);
    let values = |network: &Network| network.parameters().flat().to_vec1::<f32>().unwrap();
    assert_eq!(values(&first), values(&second));
}

#[test]
fn a_foreign_checkpoint_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    network(Architecture::Conv, [8, 8, 1]).parameters().save(&path).unwrap();
    let mlp = network(Architecture::Mlp, [8, 8, 1]);
    let error = mlp.parameters().load(&path).unwrap_err();
    assert!(error.to_string().contains("encoder.0.weight"), "{error}");
    std::fs::write(&path, b"nonsense").unwrap();
    assert!(mlp.parameters().load(&path).is_err());
}

#[test]
fn wrong_images_are_refused() {
    let mlp = network(Architecture::Mlp, [8, 8, 1]);
    let Err(error) = mlp.forward(&images(2, [4, 4, 1], 1)) else { panic!("the images have 16 pixels") };
    assert!(error.to_string().contains("8×8×1"), "{error}");
    // Channels first: as many numbers, in another order.
    let colour = network(Architecture::Small, [8, 8, 3]);
    assert!(colour.forward(&images(2, [3, 8, 8], 1)).is_err());
    assert!(mlp.forward_train(&images(1, [8, 8, 1], 1)).is_err());
}

const TEXTS: InputKind = InputKind::Texts { vocabulary: 60 };

/// `count` bags of words, of which one is empty.
fn bags(count: usize, seed: u64) -> Input {
    let mut rng = stream(seed, Purpose::Evaluation, 0);
    let mut bags = Bags::default();
    for bag in 0..count {
        let length = if bag == 1 { 0 } else { 1 + rng.random_range(0..9) };
        bags.words.extend((0..length).map(|_| rng.random_range(0..60u32)));
        bags.ends.push(bags.words.len());
    }
    Input::Bags(bags)
}

fn reader(seed: u64) -> Network {
    Network::new(Architecture::EmbeddingBag, TEXTS, seed, &Device::Cpu).unwrap()
}

#[test]
fn the_gradient_of_embeddings_is_a_directional_derivative() {
    let (network, texts) = (reader(7), bags(12, 3));
    let (output, tape) = network.forward_train(&texts).unwrap();
    assert_eq!(output.encoder.dims(), [12, 50]);
    assert_eq!(output.encoder.to_vec2::<f32>().unwrap()[1], [0.0; 50]);
    let loss_of = nt_xent(&output.head, 0.5).unwrap();
    network.backward(tape, loss_of.gradient).unwrap();
    let table = network.parameters().table().unwrap();
    let gradient = table.gradient().unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let mut rng = stream(9, Purpose::Evaluation, 0);
    let direction: Vec<f32> = gradient.iter().map(|g| g + 0.02 * normal(&mut rng)).collect();
    let slope: f64 = gradient.iter().zip(&direction).map(|(g, d)| f64::from(*g) * f64::from(*d)).sum();
    let values = table.tensor().unwrap().1.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let at = |step: f32| {
        let moved: Vec<f32> = values.iter().zip(&direction).map(|(w, d)| w + step * d).collect();
        let moved = Tensor::from_vec(moved, (60, 50), &Device::Cpu).unwrap();
        table.load(&HashMap::from([(table.name(), moved)])).unwrap();
        loss(&network, &texts)
    };
    let found = (at(0.02) - at(-0.02)) / 0.04;
    assert!((found / slope - 1.0).abs() < 2e-3, "{found} {slope}");
}

/// Steps with scheduled rates, which touch the words of the batch, against steps over the whole table.
#[test]
fn scheduled_steps_are_the_dense_ones_and_checkpoints_keep_them() {
    for kind in [OptimiserKind::Sgd, OptimiserKind::Lars, OptimiserKind::AdamW] {
        let rates: Vec<f64> = (0..12).map(|step| 0.4 / f64::from(step + 1)).collect();
        let run = |scheduled: bool| {
            let mut network = reader(7);
            let mut optimiser = Optimiser::new(kind, 0.9, 0.0, network.parameters_mut()).unwrap();
            if scheduled {
                optimiser.set_rates(network.parameters(), rates.clone()).unwrap();
            }
            for (step, &rate) in rates.iter().enumerate() {
                let texts = bags(6, step as u64);
                // Looking at the network changes no bit.
                if scheduled {
                    network.forward(&bags(9, 100)).unwrap();
                }
                let (output, tape) = network.forward_train(&texts).unwrap();
                network.backward(tape, nt_xent(&output.head, 0.5).unwrap().gradient).unwrap();
                optimiser.step(network.parameters(), rate).unwrap();
            }
            network
        };
        let (lazy, dense) = (run(true), run(false));
        let head = |network: &Network| network.forward(&bags(20, 50)).unwrap().head.to_vec2::<f32>().unwrap();
        for (a, b) in head(&lazy).concat().iter().zip(head(&dense).concat()) {
            assert!((a - b).abs() < 1e-4, "{kind:?}: {a} {b}");
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        lazy.parameters().save(&path).unwrap();
        let other = reader(8);
        assert_ne!(head(&other), head(&lazy));
        other.parameters().load(&path).unwrap();
        assert_eq!(head(&other), head(&lazy));
        let images = network(Architecture::Mlp, [8, 8, 1]);
        images.parameters().save(&path).unwrap();
        assert!(other.parameters().load(&path).unwrap_err().to_string().contains("head.0"));
    }
}

#[test]
fn texts_and_images_are_not_mixed() {
    let message = |result: Result<Network>| result.err().unwrap().to_string();
    let error = message(Network::new(Architecture::EmbeddingBag, [8, 8, 1], 7, &Device::Cpu));
    assert_eq!(error, "encoder = embedding-bag reads texts, not images");
    let error = message(Network::new(Architecture::Mlp, TEXTS, 7, &Device::Cpu));
    assert_eq!(error, "encoder = mlp reads images, not texts; embedding-bag reads texts");
    assert!(reader(7).forward(&images(2, [8, 8, 1], 1)).is_err());
    assert!(network(Architecture::Mlp, [8, 8, 1]).forward(&bags(2, 1)).is_err());
    let outside = Input::Bags(Bags { words: vec![60], ends: vec![1] });
    assert!(reader(7).forward(&outside).is_err());
    assert_eq!(reader(7).multiplications_per_image().unwrap(), 3.0 * 5000.0);
}
