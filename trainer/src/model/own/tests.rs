use super::super::{Architecture, Input, Network};
use super::*;
use crate::loss::nt_xent;
use crate::optim::{Optimiser, OptimiserKind};
use candle_nn::{BatchNorm, Conv2dConfig, Module, batch_norm, conv2d_no_bias, func_t, linear};
use measure::rng::{Purpose, stream};

/// [`Architecture::Small`] written with `candle-nn`.
fn small(vb: VarBuilder<'_>, input: InputKind) -> candle_core::Result<Box<dyn ModuleT>> {
    let InputKind::Images([_, _, mut inputs]) = input else { candle_core::bail!("it reads images") };
    let mut layers: Vec<(candle_nn::Conv2d, BatchNorm)> = Vec::new();
    for (index, (outputs, stride)) in [(32, 1), (64, 2), (128, 2), (256, 2)].into_iter().enumerate() {
        let (vb, config) = (vb.pp(index), Conv2dConfig { stride, padding: 1, ..Default::default() });
        let conv = conv2d_no_bias(inputs, outputs, 3, config, vb.clone())?;
        layers.push((conv, batch_norm(outputs, 1e-5, vb.pp("norm"))?));
        inputs = outputs;
    }
    Ok(Box::new(func_t(move |x, train| {
        let mut x = x.clone();
        for (conv, norm) in &layers {
            x = norm.forward_t(&conv.forward(&x)?, train)?.relu()?;
        }
        x.mean((2, 3))
    })))
}

fn register(name: &str, build: Build) -> Architecture {
    Architecture::register(name, build).unwrap()
}

pub(in crate::model) fn images(count: usize, [height, width, channels]: [usize; 3], seed: u64) -> Input {
    let mut rng = stream(seed, Purpose::Evaluation, 0);
    let values: Vec<f32> = (0..count * height * width * channels).map(|_| normal(&mut rng)).collect();
    Input::Images(Tensor::from_vec(values, (count, height, width, channels), &Device::Cpu).unwrap())
}

fn tensors(network: &Network) -> HashMap<String, Tensor> {
    network.parameters().tensors().unwrap().into_iter().collect()
}

/// The filters of a fast network are \[out, height, width, in\], those of candle \[out, in, height, width\].
fn copy(from: &Network, to: &Network) {
    let mut values = tensors(from);
    for value in values.values_mut().filter(|value| value.rank() == 4) {
        *value = value.permute((0, 3, 1, 2)).unwrap().contiguous().unwrap();
    }
    to.parameters().set(std::path::Path::new("the other network"), &values).unwrap();
}

#[test]
fn the_small_convnet_in_candle_learns_as_the_fast_one() {
    let architecture = register("small-in-candle", small);
    for (kind, rate) in [(OptimiserKind::Sgd, 0.05), (OptimiserKind::Lars, 0.5), (OptimiserKind::AdamW, 2e-4)]
    {
        let image = [8, 8, 3];
        let new = |architecture: Architecture| Network::new(architecture, image, 7, &Device::Cpu).unwrap();
        let mut networks = [new(Architecture::Small), new(architecture)];
        copy(&networks[0], &networks[1]);
        let mut optimisers = networks
            .each_mut()
            .map(|network| Optimiser::new(kind, 0.9, 1e-4, network.parameters_mut()).unwrap());
        let (mut worst, mut fast): (f32, Vec<f32>) = (0.0, Vec::new());
        for step in 0..20 {
            let images = images(64, image, step % 2);
            let losses = [0, 1].map(|i| {
                let (output, tape) = networks[i].forward_train(&images).unwrap();
                let loss = nt_xent(&output.head, 0.5).unwrap();
                networks[i].backward(tape, loss.gradient).unwrap();
                optimisers[i].prepare(networks[i].parameters(), rate).unwrap();
                optimisers[i].apply(networks[i].parameters()).unwrap();
                loss.value.to_scalar::<f32>().unwrap()
            });
            worst = worst.max((losses[0] - losses[1]).abs());
            fast.push(losses[0]);
        }
        println!("{kind:?}: from {:.3} to {:.3} losses differ by {worst:.1e} at most", fast[0], fast[19]);
        assert!(fast[19] < fast[0] - 0.05, "it learns: {fast:?}");
        assert!(worst < 1e-5, "{kind:?}: {worst:e}");
        // With the running statistics too, which moved in all steps.
        let images = images(16, image, 99);
        let [fast, own] = networks.each_ref().map(|network| {
            network.forward(&images).unwrap().encoder.flatten_all().unwrap().to_vec1::<f32>().unwrap()
        });
        let largest = fast.iter().fold(0f32, |m, v| m.max(v.abs()));
        let worst = fast.iter().zip(&own).fold(0f32, |m, (a, b)| m.max((a - b).abs()));
        println!("{kind:?}: features differ by {worst:.1e} of {largest:.1}");
        assert!(worst < 1e-4 * largest, "{kind:?}: {worst:e} of {largest}");
    }
}

/// The gradient of every tensor against differences of the loss, all values being drawn from N(0, 0.3²).
pub(in crate::model) fn check_gradients(architecture: Architecture, kind: InputKind, input: &Input) {
    let network = Network::new(architecture, kind, 7, &Device::Cpu).unwrap();
    let parameters = network.parameters();
    let mut rng = stream(5, Purpose::Evaluation, 1);
    let before: Vec<f32> = (0..parameters.num_trained()).map(|_| 0.3 * normal(&mut rng)).collect();
    let put = |values: &[f32]| {
        parameters.flat().slice_set(&Tensor::new(values, &Device::Cpu).unwrap(), 0, 0).unwrap();
    };
    put(&before);
    let (output, tape) = network.forward_train(input).unwrap();
    network.backward(tape, nt_xent(&output.head, 0.5).unwrap().gradient).unwrap();
    let gradient = parameters.gradients().unwrap().to_vec1::<f32>().unwrap();
    for parameter in parameters.trained() {
        let range = parameter.start..parameter.start + parameter.len();
        // Along about half of the entries: those that are wrong by a common factor would not show along all of them.
        let mut half = |g: &f32| if normal(&mut rng) > 0.0 { f64::from(*g) } else { 0.0 };
        let mut direction: Vec<f64> = gradient[range.clone()].iter().map(&mut half).collect();
        let norm = direction.iter().map(|d| d * d).sum::<f64>().sqrt();
        direction.iter_mut().for_each(|d| *d /= norm.max(1e-30));
        let loss = |step: f64| {
            let mut values = before.clone();
            values[range.clone()].iter_mut().zip(&direction).for_each(|(v, d)| *v += (step * d) as f32);
            put(&values);
            let (output, _) = network.forward_train(input).unwrap();
            f64::from(nt_xent(&output.head, 0.5).unwrap().value.to_scalar::<f32>().unwrap())
        };
        let numeric = (loss(2e-3) - loss(-2e-3)) / 4e-3;
        let name = &parameter.name;
        assert!(norm > 0.0 && (numeric - norm).abs() < 0.02 * norm + 5e-4, "{name}: {numeric} {norm}");
    }
}

/// A linear layer, batch normalisation and a residual branch over the pixels: every kind of tensor.
fn normed(vb: VarBuilder<'_>, input: InputKind) -> candle_core::Result<Box<dyn ModuleT>> {
    let InputKind::Images([height, width, channels]) = input else { candle_core::bail!("it reads images") };
    let first = linear(height * width * channels, 12, vb.pp("first"))?;
    let norm = batch_norm(12, 1e-5, vb.pp("norm"))?;
    // Asked for twice: one tensor.
    let (second, again) = (linear(12, 12, vb.pp("second"))?, linear(12, 12, vb.pp("second"))?);
    Ok(Box::new(func_t(move |x, train| {
        let x = norm.forward_t(&first.forward(&x.flatten_from(1)?)?, train)?;
        again.forward(&second.forward(&x)?.relu()?)? + x
    })))
}

#[test]
fn gradients_running_statistics_and_checkpoints() {
    let (architecture, image) = (register("normed", normed), [4, 4, 2]);
    check_gradients(architecture, InputKind::Images(image), &images(6, image, 1));
    let new = |seed| Network::new(architecture, image, seed, &Device::Cpu).unwrap();
    let (first, input) = (new(7), images(6, image, 2));
    let names: Vec<String> =
        first.parameters().tensors().unwrap().into_iter().map(|(name, _)| name).collect();
    let expected =
        ["first.weight", "first.bias", "norm.running_mean", "norm.running_var", "norm.weight", "norm.bias"];
    assert_eq!(names[..6], expected.map(|name| format!("encoder.{name}")));
    assert_eq!(
        names[6..],
        ["encoder.second.weight", "encoder.second.bias", "head.0.weight", "head.0.bias", "head.1.weight"]
    );
    let roles: Vec<Role> = first.parameters().all().iter().map(|parameter| parameter.role).collect();
    assert_eq!(roles[..4], [Role::Weight, Role::Exempt, Role::Buffer, Role::Buffer]);
    // Weights of a seed are those of a seed.
    let values = |network: &Network| network.parameters().trained_values().unwrap().to_vec1::<f32>().unwrap();
    assert_eq!(values(&new(7)), values(&first));
    assert_ne!(values(&new(8)), values(&first));
    let head = |network: &Network| network.forward(&input).unwrap().head.to_vec2::<f32>().unwrap();
    let before = head(&first);
    let (output, _) = first.forward_train(&input).unwrap();
    let statistics = tensors(&first)["encoder.norm.running_mean"].to_vec1::<f32>().unwrap();
    assert!(statistics.iter().any(|mean| mean.abs() > 1e-3), "they move in training: {statistics:?}");
    let after = head(&first);
    assert_ne!(after, before, "they are read in evaluation");
    assert_ne!(after, output.head.to_vec2::<f32>().unwrap());
    assert_eq!(head(&first), after, "and do not move there");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    first.parameters().save(&path).unwrap();
    let other = new(8);
    other.parameters().load(&path).unwrap();
    assert_eq!(head(&other), after);
}

#[test]
fn initial_values_follow_the_laws_that_were_asked_for() {
    let mut rng = stream(7, Purpose::Initialisation, 0);
    let shape = Shape::from((100, 50, 2));
    let mut moments = |init: Init| {
        let values = draw(init, &shape, &mut rng);
        let mean = values.iter().map(|v| f64::from(*v)).sum::<f64>() / 1e4;
        let variance = values.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / 1e4;
        let largest = values.iter().fold(0f32, |m, v| m.max(v.abs()));
        (mean, variance.sqrt(), largest)
    };
    assert_eq!(moments(Init::Const(0.5)), (0.5, 0.0, 0.5));
    // 10⁴ numbers: five standard errors of a mean are 0.05 deviations, of a deviation 0.035.
    let gain = 2f64.sqrt() / 10.0; // fan in: 50·2
    for (init, mean, deviation, largest) in [
        (Init::Randn { mean: 1.0, stdev: 0.2 }, 1.0, 0.2, f32::INFINITY),
        (Init::Uniform { lo: -1.0, up: 3.0 }, 1.0, 4.0 / 12f64.sqrt(), 3.0),
        (candle_nn::init::DEFAULT_KAIMING_NORMAL, 0.0, gain, f32::INFINITY),
        (candle_nn::init::DEFAULT_KAIMING_UNIFORM, 0.0, gain, (3f64.sqrt() * gain) as f32 * 1.00001),
    ] {
        let found = moments(init);
        assert!((found.0 - mean).abs() < 0.05 * deviation, "{init:?}: {found:?}");
        assert!((found.1 / deviation - 1.0).abs() < 0.035 && found.2 <= largest, "{init:?}: {found:?}");
    }
}

#[test]
fn what_cannot_be_trained_is_refused_in_one_line() {
    let refused = |name: &str, build: Build| {
        let architecture = register(name, build);
        let error = Network::new(architecture, [4, 4, 1], 7, &Device::Cpu).err().unwrap().to_string();
        assert!(error.starts_with(&format!("encoder = {name}: ")) && !error.contains('\n'), "{error}");
        error
    };
    let hidden = refused("layer-norm", |vb, _| {
        let (layer, norm) = (linear(16, 8, vb.pp("layer"))?, candle_nn::layer_norm(8, 1e-5, vb.pp("norm"))?);
        Ok(Box::new(func_t(move |x, _| norm.forward(&layer.forward(&x.flatten_from(1)?)?))))
    });
    assert!(hidden.contains("'encoder.layer.weight' has no gradient"), "{hidden}");
    let unused = refused("unused", |vb, _| {
        let (layer, _) = (linear(16, 8, vb.pp("layer"))?, linear(16, 8, vb.pp("other"))?);
        Ok(Box::new(func_t(move |x, _| layer.forward(&x.flatten_from(1)?))))
    });
    assert!(unused.contains("'encoder.other.weight' has no gradient: it is not used"), "{unused}");
    let shape = refused("an-image", |vb, _| {
        let conv = conv2d_no_bias(1, 2, 3, Conv2dConfig::default(), vb)?;
        Ok(Box::new(func_t(move |x, _| conv.forward(x))))
    });
    assert!(shape.contains("f32 numbers of shape [2, 2, 2, 2] instead of f32 [2, features]"), "{shape}");
    let twice = refused("two-shapes", |vb, _| {
        let (layer, _) = (linear(16, 8, vb.clone())?, linear(8, 8, vb)?);
        Ok(Box::new(func_t(move |x, _| layer.forward(&x.flatten_from(1)?))))
    });
    assert!(twice.contains("'encoder.weight' is asked for with shapes"), "{twice}");
    let half = refused("half", |vb, _| {
        let layer = linear(16, 8, vb.to_dtype(DType::F16))?;
        Ok(Box::new(func_t(move |x, _| layer.forward(&x.flatten_from(1)?))))
    });
    assert!(half.contains("parameters are f32"), "{half}");
    let wrong = refused("wrong-size", |vb, _| {
        let layer = linear(15, 8, vb)?;
        Ok(Box::new(func_t(move |x, _| layer.forward(&x.flatten_from(1)?))))
    });
    assert!(wrong.contains("matmul"), "{wrong}");
}

#[test]
fn names_are_unique_and_plain() {
    for name in ["", "My Net", "a/b", "netz\n", "größe"] {
        let error = Architecture::register(name, normed).unwrap_err().to_string();
        assert!(error.contains("cannot name an encoder"), "{error}");
    }
    for name in ["mlp", "vit-tiny"] {
        let error = Architecture::register(name, normed).unwrap_err().to_string();
        assert_eq!(error, format!("there is an encoder '{name}' already"));
    }
    let mine = register("mine-once", normed);
    assert!(Architecture::register("mine-once", normed).is_err());
    // Settings know it from now on, and another program says what it does not know.
    let set = |name: &str| crate::run::Preset::named("digits", &[format!("encoder={name}")]);
    let config = set("mine-once").unwrap().config;
    assert_eq!(config.encoder, mine);
    assert_eq!(crate::run::Config::from_toml(&config.to_toml()).unwrap(), config);
    let error = set("mine-never").unwrap_err().to_string();
    assert!(
        error.contains("no encoder 'mine-never' in this program, which has mlp, conv,")
            && !error.contains('\n'),
        "{error}"
    );
}
