use super::*;
use crate::loss::nt_xent;
use crate::rng::normal;

const ALL: [(Architecture, [usize; 3]); 6] = [
    (Architecture::Mlp, [8, 8, 1]),
    (Architecture::Conv, [8, 8, 1]),
    (Architecture::Conv, [7, 5, 3]),
    (Architecture::PlainMlp, [4, 4, 3]),
    (Architecture::Small, [8, 8, 3]),
    (Architecture::Resnet18, [6, 4, 3]),
];

fn images(count: usize, [height, width, channels]: [usize; 3], seed: u64) -> Tensor {
    let mut rng = stream(seed, Purpose::Evaluation, 0);
    let values: Vec<f32> = (0..count * height * width * channels).map(|_| normal(&mut rng)).collect();
    Tensor::from_vec(values, (count, height, width, channels), &Device::Cpu).unwrap()
}

fn network(architecture: Architecture, image: [usize; 3]) -> Network {
    Network::new(architecture, image, 7, &Device::Cpu).unwrap()
}

#[test]
fn shapes_and_checkpoints() {
    for (architecture, image) in ALL {
        let images = images(6, image, 1);
        let first = network(architecture, image);
        first.forward_train(&images).unwrap(); // moves the running statistics
        let output = first.forward(&images).unwrap();
        let [encoder, head] = architecture.features(image);
        assert_eq!(output.encoder.dims(), [6, encoder]);
        assert_eq!(output.head.dims(), [6, head]);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        first.parameters().save(&path).unwrap();
        let other = Network::new(architecture, image, 8, &Device::Cpu).unwrap();
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
    ];
    for (architecture, count) in counts {
        assert_eq!(network(architecture, [32, 32, 3]).parameters().num_trained(), count, "{architecture:?}");
    }
}

/// The loss in training mode; running statistics do not enter it.
fn loss(network: &Network, images: &Tensor) -> f64 {
    let (output, _) = network.forward_train(images).unwrap();
    f64::from(nt_xent(&output.head, 0.5).unwrap().value.to_scalar::<f32>().unwrap())
}

/// The loss with one parameter moved along a direction.
fn moved(network: &Network, images: &Tensor, start: usize, direction: &[f64], step: f64) -> f64 {
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
    for (architecture, image) in ALL {
        let images = images(6, image, 3);
        let network = network(architecture, image);
        let parameters = network.parameters();
        // A gradient that no layer writes stays NaN.
        let length = parameters.num_trained();
        let nan = Tensor::full(f32::NAN, length, &Device::Cpu).unwrap();
        parameters.gradients().slice_set(&nan, 0, 0).unwrap();
        let (output, tape) = network.forward_train(&images).unwrap();
        network.backward(tape, nt_xent(&output.head, 0.5).unwrap().gradient).unwrap();
        let gradient = parameters.gradients().to_vec1::<f32>().unwrap();
        for parameter in parameters.trained() {
            let gradient = &gradient[parameter.start..parameter.start + parameter.len()];
            assert!(gradient.iter().all(|g| g.is_finite()), "{architecture:?} {}", parameter.name);
            // ResNet-18 repeats itself, and its passes take long: one block of each kind, and the widest.
            let name = &parameter.name;
            if ["layer1.1", "layer2.1", "layer3"].iter().any(|block| name.contains(block)) {
                continue;
            }
            // Along about half of the entries of the gradient, chosen at random: entries that are wrong by a common
            // factor would not show along all of them.
            let mut rng = stream(parameter.start as u64, Purpose::Evaluation, 0);
            let mut half = |g: &f32| if normal(&mut rng) > 0.0 { f64::from(*g) } else { 0.0 };
            let mut direction: Vec<f64> = gradient.iter().map(&mut half).collect();
            let norm = direction.iter().map(|d| d * d).sum::<f64>().sqrt();
            assert!(norm > 0.0, "{architecture:?} {name}");
            direction.iter_mut().for_each(|d| *d /= norm);
            // A compromise between f32 rounding of the loss (about 1e-7/step) and kinks of the ReLU.
            let step = 2e-3;
            let slope = |step: f64| moved(&network, &images, parameter.start, &direction, step);
            let numeric = (slope(step) - slope(-step)) / (2.0 * step);
            assert!((numeric - norm).abs() < 0.05 * norm + 5e-4, "{architecture:?} {name}: {numeric} {norm}");
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
