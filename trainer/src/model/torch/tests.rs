//! Checkpoints that PyTorch wrote, and the features that it computes with them (`tests/torch/make_golden.py`).

use super::*;
use crate::data::InputKind;
use crate::model::{Architecture, Head, Input, Model, Options, Stem};
use std::collections::HashMap;
use std::path::PathBuf;

pub(super) const PLAIN: Options =
    Options { head: Head::Default, stem: Stem::Small, stem_padding: 1, stem_relu: true };

pub(super) fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/torch").join(name)
}

/// A ResNet-18 with this many channels behind its stem.
pub(super) fn network(options: Options, width: usize) -> Network {
    let model = Model { architecture: Architecture::Resnet18, options };
    Network::of_width(model, width, InputKind::Images([9, 7, 3]), 7, &Device::Cpu).unwrap()
}

pub(super) fn values(tensor: &Tensor) -> Vec<f64> {
    tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

/// Replaces all values of the network by those of a file; the keys that were not used.
pub(super) fn load(network: &Network, path: &Path) -> Result<Vec<String>> {
    let mut weights = Weights::open(path, &[])?;
    weights.load(network)?;
    Ok(weights.unused())
}

fn agrees(name: &str, options: Options, width: usize) -> Vec<String> {
    let network = network(options, width);
    let ignored = load(&network, &file(&format!("{name}.pt"))).unwrap();
    features_agree(name, &network);
    ignored
}

/// Whether features are those that PyTorch computed.
fn features_agree(name: &str, network: &Network) {
    let golden: HashMap<String, Tensor> =
        Tensor::read_npz(file(&format!("{name}.npz"))).unwrap().into_iter().collect();
    let output = network.forward(&Input::Images(golden["images"].clone())).unwrap();
    for (part, found) in [("encoder", &output.encoder), ("head", &output.head)] {
        assert_eq!(found.dims(), golden[part].dims());
        let (found, expected) = (values(found), values(&golden[part]));
        let largest = expected.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
        let off = found.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, |m: f64, d| {
            assert!(d.is_finite());
            m.max(d)
        });
        println!("{name}, {part}: off by {off:e}, largest {largest}");
        assert!(largest > 0.1 && off < 1e-5 * largest, "{name}, {part}: {off:e} of {largest}");
    }
}

#[test]
fn the_published_model_is_read() {
    let ignored = agrees("published", Options::PUBLISHED, 4);
    assert_eq!(ignored.len(), 21, "one counter for each normalisation: {ignored:?}");
    assert!(ignored.iter().all(|key| key.ends_with(".num_batches_tracked")));
}

#[test]
fn a_state_dict_inside_a_dictionary_is_read() {
    let ignored = agrees("plain", PLAIN, 1);
    assert_eq!(ignored.iter().filter(|key| key.starts_with("encoder.fc.")).count(), 2, "{ignored:?}");
}

/// torchvision's ResNet-50 of one channel, whose file names neither depth nor stem; written again, it is the file.
#[test]
fn a_resnet50_behind_the_stem_of_imagenet_is_read_and_written() {
    let path = file("resnet50.pt");
    let mut weights = Weights::open(&path, &[]).unwrap();
    let model = weights.model(1);
    assert_eq!((model.architecture, model.options.stem), (Architecture::Resnet50, Stem::Imagenet));
    let network = Network::of_width(model, 1, InputKind::Images([40, 33, 3]), 7, &Device::Cpu).unwrap();
    weights.load(&network).unwrap();
    features_agree("resnet50", &network);
    let mut there = super::file::open(&path).unwrap();
    let written = exported(&network).unwrap();
    for (name, tensor) in &written {
        let expected = there.get(name).unwrap().unwrap();
        assert_eq!((tensor.dims(), values(tensor)), (expected.dims(), values(&expected)), "{name}");
    }
    let counters = there.shapes().into_keys().filter(|key| key.ends_with("num_batches_tracked")).count();
    assert_eq!(there.shapes().len(), written.len() + counters);
}

/// Through bottlenecks, max pooling and all normalisations in training, two numbers of the gradient of every parameter:
/// within 2 % of those in f64. PyTorch's own in f32 are up to 0.5 % off, where a ReLU or a maximum falls to the other side.
#[test]
fn gradients_of_a_resnet50_are_those_of_pytorch() {
    let golden: HashMap<String, Tensor> =
        Tensor::read_npz(file("resnet50.npz")).unwrap().into_iter().collect();
    let mut weights = Weights::open(&file("resnet50.pt"), &[]).unwrap();
    let input = InputKind::Images([40, 33, 3]);
    let network = Network::of_width(weights.model(1), 1, input, 7, &Device::Cpu).unwrap();
    weights.load(&network).unwrap();
    let (output, tape) = network.forward_train(&Input::Images(golden["images"].clone())).unwrap();
    let waves: Vec<f32> = (1..=output.head.elem_count()).map(|k| (k as f64).cos() as f32).collect();
    let gradient = Tensor::from_vec(waves, output.head.dims(), &Device::Cpu).unwrap();
    network.backward(tape, gradient).unwrap();
    // In the place of the weights, so that they leave under PyTorch's names and in its order.
    let parameters = network.parameters();
    parameters.flat().slice_set(&parameters.gradients().unwrap(), 0, 0).unwrap();
    let expected: Vec<Vec<f64>> = golden["slopes"].to_vec2().unwrap();
    let statistics = |name: &str| name.ends_with("running_mean") || name.ends_with("running_var");
    let found: Vec<_> =
        exported(&network).unwrap().into_iter().filter(|(name, _)| !statistics(name)).collect();
    assert_eq!(found.len(), expected.len());
    for ((name, gradient), expected) in found.iter().zip(&expected) {
        let values = values(gradient);
        let wave = |(k, g): (usize, &f64)| g * (k as f64 + 1.0).cos();
        let along: f64 = values.iter().enumerate().map(wave).sum();
        let square: f64 = values.iter().map(|g| g * g).sum();
        let size = expected[1].sqrt();
        let off = ((square.sqrt() - size).abs() / size).max((along - expected[0]).abs() / size);
        println!("{name}: off by {off:.1e} of {size:.3}");
        assert!(
            off < 0.02,
            "{name}: length {} and sum {along}, not {size} and {}",
            square.sqrt(),
            expected[0]
        );
    }
}

/// Depths and stems are told from each other by the file alone.
#[test]
fn what_is_written_is_read_as_the_same_network() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.pt");
    for (architecture, _) in crate::model::residual::Depth::ALL {
        for stem in [Stem::Small, Stem::Imagenet] {
            let model = Model { architecture, options: Options { stem, ..PLAIN } };
            let new =
                |model, seed| Network::of_width(model, 2, InputKind::Images([9, 7, 3]), seed, &Device::Cpu);
            let network = new(model, 7).unwrap();
            save(&network, &path).unwrap();
            let mut weights = Weights::open(&path, &[]).unwrap();
            let found = weights.model(1);
            assert_eq!((found.architecture, found.options.stem), (architecture, stem));
            let again = new(found, 8).unwrap();
            weights.load(&again).unwrap();
            assert_eq!(values(again.parameters().flat()), values(network.parameters().flat()));
            assert_eq!(again.head_name(), network.head_name());
        }
    }
}

fn message(options: Options, width: usize, name: &str) -> String {
    let network = network(options, width);
    let before = values(network.parameters().flat());
    let message = load(&network, &file(name)).unwrap_err().to_string();
    assert_eq!(values(network.parameters().flat()), before, "nothing is replaced");
    assert!(!message.contains('\n'), "{message}");
    message
}

#[test]
fn what_is_missing_or_left_over_is_named() {
    // A head without normalisation, and its second layer at another place.
    let found = message(Options { head: Head::Paper, ..PLAIN }, 1, "plain.pt");
    let missing =
        "'head.0.norm.weight', 'head.0.norm.bias', 'head.0.norm.running_mean', 'head.0.norm.running_var'";
    assert!(found.contains(&format!("there is nothing for {missing}; ")), "{found}");
    // A normalisation that the network has not.
    let found = message(PLAIN, 4, "published.pt");
    for part in ["bias", "running_mean", "running_var", "weight"] {
        assert!(found.contains(&format!("'module.g.projection_head.bn1.{part}'")), "{found}");
    }
    assert!(!found.contains("there is nothing for"), "{found}");
    assert!(found.ends_with("; features of any encoder are read too: docs/features.md"), "{found}");
}

#[test]
fn shapes_are_named_as_pytorch_has_them() {
    let found = message(Options::PUBLISHED, 5, "published.pt");
    let stem = "'module.f.conv1.weight' has shape [4, 3, 3, 3] instead of [5, 3, 3, 3]";
    assert!(found.contains(stem) && found.contains("; and 104 more; "), "{found}");
}

#[test]
fn other_files_are_refused_with_what_to_do() {
    let legacy = message(PLAIN, 1, "legacy.pt");
    assert!(legacy.contains("before PyTorch 1.6") && legacy.contains("torch.save("), "{legacy}");
    let strided = message(PLAIN, 1, "channels_last.pt");
    assert!(strided.contains("'conv1.weight'") && strided.contains("contiguous_format"), "{strided}");
    let other = message(PLAIN, 1, "make_golden.py");
    assert!(
        other.contains(": neither a .pt file of PyTorch 1.6 or later nor a .safetensors file; "),
        "{other}"
    );
    let folder = tempfile::tempdir().unwrap();
    let cut = folder.path().join("cut.pt");
    let whole = std::fs::read(file("plain.pt")).unwrap();
    std::fs::write(&cut, &whole[..whole.len() / 2]).unwrap();
    let error = load(&network(PLAIN, 1), &cut).unwrap_err().to_string();
    assert!(error.contains("cut.pt: not readable"), "{error}");
    let mlp = Network::new(Architecture::Mlp, [9, 7, 3], 7, &Device::Cpu).unwrap();
    let error = load(&mlp, &file("plain.pt")).unwrap_err().to_string();
    assert!(
        error.ends_with(&format!("plain.pt holds weights of resnet18, not of mlp; {OTHER_WAY}")),
        "{error}"
    );
}

/// A safetensors file of PyTorch's names and order of dimensions, with any prefix, and one with two encoders.
#[test]
fn safetensors_and_two_encoders() {
    let network = network(PLAIN, 1);
    let mut plain = super::file::open(&file("plain.pt")).unwrap();
    let names = plain.shapes().into_keys();
    let mut tensors: HashMap<String, Tensor> =
        names.map(|name| (name.clone(), plain.get(&name).unwrap().unwrap())).collect();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plain.safetensors");
    candle_core::safetensors::save(&tensors, &path).unwrap();
    load(&network, &file("plain.pt")).unwrap();
    let expected = values(network.parameters().flat());
    let other = super::tests::network(PLAIN, 1);
    assert_ne!(values(other.parameters().flat()), expected);
    load(&other, &path).unwrap();
    assert_eq!(values(other.parameters().flat()), expected);
    assert_eq!(values(other.parameters().buffers()), values(network.parameters().buffers()));
    for (key, tensor) in tensors.clone() {
        tensors.insert(format!("other.{key}"), tensor);
    }
    candle_core::safetensors::save(&tensors, &path).unwrap();
    let error = load(&network, &path).unwrap_err().to_string();
    assert!(error.contains("several encoders, 'encoder.', 'other.encoder.': choose one"), "{error}");
}

/// A file of PyTorch's with another pickle, or other entries beside it.
fn archive(name: &str, pickle: &[u8], entries: &[(&str, &[u8])]) -> String {
    use std::io::Write;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    let mut archive = zip::ZipWriter::new(std::fs::File::create(&path).unwrap());
    let options = zip::write::SimpleFileOptions::default();
    for (name, bytes) in [("a/data.pkl", pickle)].into_iter().chain(entries.iter().copied()) {
        archive.start_file(name, options).unwrap();
        archive.write_all(bytes).unwrap();
    }
    archive.finish().unwrap();
    let error = load(&network(PLAIN, 1), &path).unwrap_err().to_string();
    assert!(!error.contains('\n'), "{error}");
    error
}

/// Pickles that would cost a stack or a memory, on the way in or when they are dropped.
#[test]
fn a_hostile_pickle_is_an_error() {
    let deep = [&b"]".repeat(1_000_000)[..], &b"a".repeat(999_999), b"."].concat();
    assert!(archive("deep.pt", &deep, &[]).contains("there are no tensors"));
    let doubled = [&b")q\0"[..], &b"h\0h\0\x86q\0".repeat(40), b"."].concat();
    assert!(archive("doubled.pt", &doubled, &[]).contains("there are no tensors"));
    let long = [&b"N".repeat(10_000_000)[..], b"."].concat();
    assert!(archive("long.pt", &long, &[]).contains("it makes more than 1048576 values"));
    let huge = [&b"N".repeat(100_000_000)[..], b"."].concat();
    assert!(archive("huge.pt", &huge, &[]).contains("'a/data.pkl' has 100000001 bytes, more than 16777216"));
    let big_endian = archive("order.pt", b"}.", &[("a/byteorder", b"big")]);
    assert!(big_endian.contains("in the order 'big', not 'little'"), "{big_endian}");
    let whole = archive("whole.pt", b"c__main__\nNet\n)\x81}b.", &[]);
    assert!(
        whole.contains("whole model") && whole.contains("torch.save(model.state_dict(), FILE)"),
        "{whole}"
    );
    let two = archive("two.pt", b"}.", &[("b/data.pkl", b"}.")]);
    assert!(two.contains("2 entries 'data.pkl', not one"), "{two}");
}

/// The dictionary with the most tensors is read: of the whole file, or of one of its entries.
#[test]
fn a_state_dict_stands_in_an_entry() {
    let inner = write::pickle(&[("conv1.weight", &[2, 3]), ("bn1.weight", &[2])]);
    let inner = &inner[2..inner.len() - 1];
    let outer = write::pickle(&[("accuracy", &[])]);
    for name in archive::NESTED {
        let key = [b"X", &(name.len() as u32).to_le_bytes()[..], name.as_bytes()].concat();
        let whole = [&outer[..outer.len() - 1], &key, inner, b"s."].concat();
        let found = pickle::tensors(&whole, &archive::NESTED).unwrap();
        assert_eq!(found.keys().collect::<Vec<_>>(), ["bn1.weight", "conv1.weight"], "{name}");
    }
    assert_eq!(pickle::tensors(&outer, &archive::NESTED).unwrap().len(), 1);
}

/// A tensor that says more than its storage holds, in a file that is right otherwise.
#[test]
fn a_storage_that_is_damaged_or_short_is_an_error() {
    let whole = std::fs::read(file("published.pt")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("damaged.pt");
    // The numbers of the first storage begin 64 bytes aligned behind its name.
    let name = whole.windows(16).position(|window| window == b"published/data/0").unwrap();
    let mut damaged = whole.clone();
    damaged[name.next_multiple_of(64) + 64] ^= 1;
    std::fs::write(&path, &damaged).unwrap();
    let error = load(&network(Options::PUBLISHED, 4), &path).unwrap_err().to_string();
    assert!(error.contains("'module.f.conv1.weight' is not readable: Invalid checksum"), "{error}");
}

/// Types whose conversion the tensor library does not end, in weights and in a checkpoint of ours.
#[test]
fn other_types_are_refused_by_name() {
    use safetensors::tensor::{Dtype, TensorView, serialize_to_file};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("eight.safetensors");
    let view = TensorView::new(Dtype::F8_E4M3, vec![4], &[0x38; 4]).unwrap();
    serialize_to_file([("encoder.bn1.weight", view)], None, &path).unwrap();
    let network = network(PLAIN, 1);
    for error in [load(&network, &path).unwrap_err(), network.parameters().load(&path).unwrap_err()] {
        let error = error.to_string();
        assert!(error.contains("'encoder.bn1.weight' is of type F8_E4M3: floats of 16"), "{error}");
    }
}
