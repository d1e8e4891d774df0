use super::*;
use crate::loss::nt_xent;
use crate::rng::normal;

const ALL: [(Architecture, [usize; 3]); 6] = [
    (Architecture::Mlp, [8, 8, 1]),
    (Architecture::Conv, [8, 8, 1]),
    (Architecture::Conv, [7, 5, 3]),
    (Architecture::PlainMlp, [4, 4, 3]),
    (Architecture::Small, [8, 8, 3]),
    (Architecture::Resnet18, [4, 6, 3]),
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

#[test]
fn backward_passes_are_directional_derivatives() {
    for (architecture, image) in ALL {
        let images = images(8, image, 3);
        let network = network(architecture, image);
        let (output, tape) = network.forward_train(&images).unwrap();
        network.backward(tape, nt_xent(&output.head, 0.5).unwrap().gradient).unwrap();
        let parameters = network.parameters();
        let gradient = parameters.gradients().to_vec1::<f32>().unwrap();
        assert!(gradient.iter().all(|g| g.is_finite()));
        // Along the gradient of one parameter at a time, which finds a wrong gradient of any of them; the step is a
        // compromise between f32 rounding of the loss and kinks of the ReLU.
        let stride = if architecture == Architecture::Resnet18 { 5 } else { 1 };
        for parameter in parameters.trained().step_by(stride) {
            let range = parameter.start..parameter.start + parameter.len();
            let norm = gradient[range.clone()].iter().map(|&g| f64::from(g).powi(2)).sum::<f64>().sqrt();
            if norm < 1e-3 {
                continue; // a bias before batch normalisation, or lost in rounding
            }
            let state = parameters.flat();
            let before = state.copy().unwrap();
            let shifted = |step: f64| {
                let mut values = before.to_vec1::<f32>().unwrap();
                for i in range.clone() {
                    values[i] += (step * f64::from(gradient[i]) / norm) as f32;
                }
                let length = values.len();
                state.slice_set(&Tensor::from_vec(values, length, &Device::Cpu).unwrap(), 0, 0).unwrap();
                loss(&network, &images)
            };
            let step = 2e-3;
            let numeric = (shifted(step) - shifted(-step)) / (2.0 * step);
            state.slice_set(&before, 0, 0).unwrap();
            let error = (numeric - norm).abs() / norm.max(0.02);
            assert!(error < 0.05, "{architecture:?} {}: {numeric} {norm}", parameter.name);
        }
    }
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
    assert!(mlp.forward_train(&images(1, [8, 8, 1], 1)).is_err());
}
