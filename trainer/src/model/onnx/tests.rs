use super::super::{Architecture, Model, Options};
use super::*;
use candle_core::Device;
use std::collections::{BTreeMap, HashSet};

fn network(model: impl Into<Model>, input: impl Into<InputKind>, width: usize) -> Network {
    Network::of_width(model.into(), width, input.into(), 7, &Device::Cpu).unwrap()
}

/// What is in the file.
fn graph(network: &Network) -> proto::Graph {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.onnx");
    save(network, &path).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let read = proto::Model::decode(&bytes[..]).unwrap();
    assert_eq!((read.ir_version, read.opset_import[0].version), (8, 17));
    read.graph.unwrap()
}

fn operations(graph: &proto::Graph) -> Vec<&str> {
    graph.node.iter().map(|node| node.op_type.as_str()).collect()
}

/// Dimensions after the first, which is the batch's.
fn sizes(value: &proto::Value) -> Vec<i64> {
    let tensor = value.r#type.as_ref().unwrap().tensor.as_ref().unwrap();
    let dims = &tensor.shape.as_ref().unwrap().dim;
    assert_eq!(dims[0], proto::Dimension { value: None, name: Some("batch".into()) });
    dims[1..].iter().map(|dim| dim.value.unwrap()).collect()
}

#[test]
fn a_small_network_is_written_operation_by_operation() {
    let network = network(Architecture::Conv, [7, 5, 3], 64);
    let graph = graph(&network);
    let layer = ["Conv", "BatchNormalization", "Relu"];
    let head = ["Transpose", "Flatten", "Gemm", "BatchNormalization", "Relu", "Gemm", "Identity", "Identity"];
    assert_eq!(operations(&graph), [&layer[..], &layer, &layer, &head].concat());
    assert_eq!(sizes(&graph.input[0]), [3, 7, 5]);
    let outputs: Vec<_> = graph.output.iter().map(|value| (value.name.as_str(), sizes(value))).collect();
    assert_eq!(outputs, [("features", vec![64 * 2 * 2]), ("projection", vec![64])]);
    let second = &graph.node[3];
    let attributes = [
        proto::Attribute::integers("kernel_shape", [3, 3]),
        proto::Attribute::integers("pads", [1; 4]),
        proto::Attribute::integers("strides", [2, 2]),
    ];
    assert_eq!(second.attribute, attributes);
    assert_eq!(second.input[1], "encoder.1.weight");
    assert_eq!(graph.node[1].attribute, [proto::Attribute::float("epsilon", 1e-5)]);
    // [16, 3, 3, 3]: the number for output 2, input 1, row 0, column 2, which lies as [out, row, column, in] here.
    let weights = &graph.initializer[0];
    assert_eq!((weights.name.as_str(), &weights.dims[..]), ("encoder.0.weight", &[16, 3, 3, 3][..]));
    let number = |index: usize| f32::from_le_bytes(weights.raw_data[4 * index..][..4].try_into().unwrap());
    let (_, ours) = network.parameters().tensors().unwrap().swap_remove(0);
    let ours: Vec<Vec<f32>> = ours.flatten_from(1).unwrap().to_vec2().unwrap();
    assert_eq!(number(2 * 27 + 9 + 2), ours[2][2 * 3 + 1]);
}

/// Every weight stands in the file once, under the name and with the shape that PyTorch has; what a node reads is there
/// before it.
#[test]
fn a_residual_network_has_pytorch_s_names() {
    let model = Model { architecture: Architecture::Resnet18, options: Options::PUBLISHED };
    let network = network(model, [6, 4, 3], 4);
    let graph = graph(&network);
    let names: BTreeMap<&str, Vec<i64>> =
        graph.initializer.iter().map(|tensor| (tensor.name.as_str(), tensor.dims.clone())).collect();
    let expected = torch::exported(&network).unwrap();
    assert_eq!(names.len(), graph.initializer.len());
    let shape = |tensor: &candle_core::Tensor| tensor.dims().iter().map(|&size| size as i64).collect();
    let expected: BTreeMap<&str, Vec<i64>> =
        expected.iter().map(|(name, tensor)| (name.as_str(), shape(tensor))).collect();
    assert_eq!(names, expected);
    assert_eq!(names["layer2.0.downsample.0.weight"], [8, 4, 1, 1]);
    let count = |operation| operations(&graph).iter().filter(|found| **found == operation).count();
    let found = ["Conv", "BatchNormalization", "Add", "Relu", "Gemm"].map(count);
    // The stem, two convolutions a block, three ways around; the head has a normalisation, too.
    assert_eq!(found, [1 + 16 + 3, 1 + 16 + 3 + 1, 8, 1 + 16 + 1, 2]);
    assert_eq!(graph.node[0].attribute[1], proto::Attribute::integers("pads", [3; 4]));
    let mut known: HashSet<&str> = names.keys().copied().chain(["images"]).collect();
    for node in &graph.node {
        assert!(node.input.iter().all(|name| known.contains(name.as_str())), "{node:?}");
        assert!(node.output.iter().all(|name| known.insert(name)), "{node:?}");
    }
}

#[test]
fn what_has_no_such_form_is_refused_in_a_line() {
    let vit = Architecture::try_from("vit-tiny".to_string()).unwrap();
    for (network, expected) in [
        (
            network(vit, [8, 8, 3], 64),
            "encoder = vit-tiny is written with candle-nn, which has no way to ONNX",
        ),
        (
            network(Architecture::EmbeddingBag, InputKind::Texts { vocabulary: 5 }, 64),
            "encoder = embedding-bag reads texts; only encoders of images become ONNX",
        ),
    ] {
        assert_eq!(model(&network).unwrap_err().to_string(), expected);
    }
}
