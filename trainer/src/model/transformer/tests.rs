use super::super::own::tests::{check_gradients, images};
use super::super::{Architecture, Bags, Input, Network};
use super::*;
use crate::data::InputKind;
use candle_core::Device;

const SIZES: Sizes = Sizes { width: 8, depth: 2, heads: 2 };

/// Two words, none, three words, one.
fn bags() -> Input {
    Input::Bags(Bags { words: vec![3, 0, 2, 2, 4, 1], ends: vec![2, 2, 5, 6] })
}

fn values(tensor: &Tensor) -> Vec<Vec<f32>> {
    tensor.to_vec2().unwrap()
}

#[test]
fn gradients_of_small_transformers_are_directional_derivatives() {
    let vit = Architecture::register("vit-test", |vb, input| vit::build(SIZES, &vb, input)).unwrap();
    check_gradients(vit, InputKind::Images([8, 4, 3]), &images(4, [8, 4, 3], 1));
    let text = Architecture::register("text-test", |vb, input| text::build(SIZES, &vb, input)).unwrap();
    check_gradients(text, InputKind::Texts { vocabulary: 5 }, &bags());
}

/// timm 1.0: `sum(p.numel() for p in timm.create_model('vit_tiny_patch16_224', num_classes=0).parameters())`.
#[test]
fn vit_tiny_has_the_tensors_of_timm() {
    let tensors = |image: [usize; 3]| {
        let network =
            Network::new(Architecture::try_from("vit-tiny".to_string()).unwrap(), image, 7, &Device::Cpu);
        let parameters: Vec<_> = network.unwrap().parameters().trained().cloned().collect();
        parameters.into_iter().filter(|parameter| parameter.name.starts_with("encoder.")).collect::<Vec<_>>()
    };
    let large = tensors([224, 224, 3]);
    assert_eq!(large.iter().map(|parameter| parameter.len()).sum::<usize>(), 5_524_416);
    let small = tensors([32, 32, 3]);
    for (name, shape) in [
        ("patch_embed.proj.weight", &[192, 3, 4, 4][..]),
        ("cls_token", &[1, 1, 192]),
        ("pos_embed", &[1, 65, 192]),
        ("blocks.11.attn.qkv.weight", &[576, 192]),
        ("blocks.0.mlp.fc1.bias", &[768]),
        ("norm.weight", &[192]),
    ] {
        let found = small.iter().find(|parameter| parameter.name == format!("encoder.{name}"));
        assert_eq!(found.map(|parameter| &parameter.shape[..]), Some(shape), "{name}");
    }
}

#[test]
fn patches_are_cut_as_a_convolution_would() {
    let Input::Images(x) = images(2, [8, 12, 3], 5) else { panic!() };
    let x = x.permute((0, 3, 1, 2)).unwrap().contiguous().unwrap();
    let weight = Tensor::randn(0f32, 1.0, (5, 3, 4, 4), &Device::Cpu).unwrap();
    let expected = x.conv2d(&weight, 0, 4, 1, 1).unwrap().flatten_from(2).unwrap().transpose(1, 2).unwrap();
    let patches = vit::Patches { rows: 2, columns: 3, channels: 3, side: 4 };
    let found =
        patches.cut(&x).unwrap().broadcast_matmul(&weight.flatten_from(1).unwrap().t().unwrap()).unwrap();
    let worst = (found - expected).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
    assert!(worst < 1e-4, "{worst}");
}

#[test]
fn texts_are_read_in_order_and_alone() {
    let transformer = Architecture::try_from("transformer".to_string()).unwrap();
    let network = Network::new(transformer, InputKind::Texts { vocabulary: 5 }, 7, &Device::Cpu).unwrap();
    let features = |words: &[u32], ends: &[usize]| {
        let bags = Bags { words: words.to_vec(), ends: ends.to_vec() };
        values(&network.forward(&Input::Bags(bags)).unwrap().encoder)
    };
    let together = features(&[3, 0, 2, 2, 4, 1], &[2, 2, 5, 6]);
    assert_eq!(together[1], [0.0; 128], "a text without words");
    // Longer texts beside a text, and the room that they take, change nothing but roundings.
    for (index, words) in [(0, &[3, 0][..]), (2, &[2, 2, 4]), (3, &[1])] {
        let alone = &features(words, &[words.len()])[0];
        let worst = alone.iter().zip(&together[index]).fold(0f32, |m, (a, b)| m.max((a - b).abs()));
        assert!(worst < 1e-5, "{index}: {worst}");
    }
    let reversed = &features(&[0, 3], &[2])[0];
    assert!(reversed.iter().zip(&together[0]).any(|(a, b)| (a - b).abs() > 1e-3), "order counts");
    // Words beyond the first 128 are not read.
    let long: Vec<u32> = (0..600).map(|i| i % 5).collect();
    assert_eq!(features(&long, &[600]), features(&long[..128], &[128]));
    let message = Network::new(transformer, [8, 8, 1], 7, &Device::Cpu).err().unwrap().to_string();
    assert_eq!(message, "encoder = transformer: it reads texts, not images");
}

#[test]
fn images_that_cannot_be_cut_are_refused() {
    let vit = Architecture::try_from("vit-tiny".to_string()).unwrap();
    let message = |input: InputKind| Network::new(vit, input, 7, &Device::Cpu).err().unwrap().to_string();
    assert_eq!(
        message(InputKind::Images([30, 32, 3])),
        "encoder = vit-tiny: images of 30×32×3 cannot be cut into patches of 4×4"
    );
    assert!(message(InputKind::Images([100, 96, 3])).contains("16×16"));
    assert!(message(InputKind::Images([0, 0, 3])).contains("0×0×3"));
    assert!(message(InputKind::Texts { vocabulary: 3 }).contains("images, not texts"));
}
