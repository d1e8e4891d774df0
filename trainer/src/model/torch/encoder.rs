//! Which keys of a file are those of an encoder, and what they are called in torchvision.

use std::collections::{BTreeMap, BTreeSet};

/// The first convolution of the first block, which every ResNet has behind the name of its first stage.
const MARK: &str = ".0.conv1.weight";

/// Where an encoder stands in a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// What stands before its names.
    pub prefix: String,
    /// The number of the first stage, where layers have numbers instead of names, as in a `nn.Sequential` of them:
    /// 4, or fewer without ReLU and pooling in between.
    first: Option<usize>,
}

impl Place {
    /// All encoders of a file.
    pub fn all(shapes: &BTreeMap<String, Vec<usize>>) -> Vec<Self> {
        let mut found = BTreeMap::new();
        for stage in shapes.keys().filter_map(|key| key.strip_suffix(MARK)) {
            if let Some(prefix) = stage.strip_suffix("layer1") {
                found.insert(prefix, None);
                continue;
            }
            let (prefix, number) = stage
                .rsplit_once('.')
                .map_or(("", stage), |(prefix, number)| (&stage[..=prefix.len()], number));
            let is_stem = |shape: &Vec<usize>| shape.len() == 4;
            if let Ok(number) = number.parse::<usize>()
                && shapes.get(&format!("{prefix}0.weight")).is_some_and(is_stem)
            {
                let first = found.entry(prefix).or_insert(Some(number));
                *first = first.map(|first| first.min(number));
            }
        }
        found.into_iter().map(|(prefix, first)| Self { prefix: prefix.into(), first }).collect()
    }

    /// Whether a ReLU stands behind the stem: not where the first stage follows its normalisation at once.
    pub fn has_stem_relu(&self) -> bool {
        self.first != Some(2)
    }

    /// Whether a pooling may stand behind the stem and its ReLU: not where numbers leave no place for it.
    pub fn has_pooling(&self) -> bool {
        self.first.is_none_or(|first| first >= 4)
    }

    /// What torchvision calls a key of this encoder; `None`: it belongs elsewhere.
    pub fn torchvision(&self, key: &str) -> Option<String> {
        let inside = key.strip_prefix(&self.prefix)?;
        let (layer, rest) = inside.split_once('.')?;
        let named = match (self.first, layer.parse::<usize>()) {
            (None, Err(_)) => layer.to_string(),
            (Some(_), Ok(0)) => "conv1".into(),
            (Some(_), Ok(1)) => "bn1".into(),
            (Some(first), Ok(number)) if number >= first => format!("layer{}", number - first + 1),
            _ => return None,
        };
        let is_encoders = named.starts_with("layer") || matches!(named.as_str(), "conv1" | "bn1");
        is_encoders.then(|| format!("{named}.{}", rest.replace(".shortcut.", ".downsample.")))
    }

    /// Whether a key is this encoder's.
    pub fn holds(&self, key: &str) -> bool {
        self.torchvision(key).is_some()
    }

    /// The classifier that a ResNet ends with, `fc` or lightly's `linear`, or one beside the encoder, in a module around
    /// it; of MoCo's two encoders, `fc` is the head.
    pub fn is_classifier(&self, module: &str) -> bool {
        let around = module.strip_suffix("fc").or_else(|| module.strip_suffix("linear"));
        let is_last = around.is_some_and(|around| {
            (around.is_empty() || around.ends_with('.')) && self.prefix.starts_with(around)
        });
        let words = words(&self.prefix);
        is_last && !(words.contains("encoder") && (words.contains("q") || words.contains("k")))
    }
}

/// The words of a name, such as those of `module.encoder_q.`: module, encoder, q.
pub(super) fn words(name: &str) -> BTreeSet<&str> {
    name.split(['.', '_']).filter(|word| !word.is_empty()).collect()
}

/// Whether a name is that of a network that follows another: the key encoder, a momentum or target network, a teacher.
pub(super) fn follows(name: &str) -> bool {
    const FOLLOWERS: [&str; 7] = ["momentum", "k", "key", "target", "teacher", "ema", "offline"];
    words(name).iter().any(|word| FOLLOWERS.contains(word))
}

/// The name here of a parameter that torchvision calls so.
pub(super) fn ours(torchvision: &str) -> String {
    match torchvision.strip_prefix("bn1.") {
        Some(part) => format!("encoder.0.norm.{part}"),
        None if torchvision == "conv1.weight" => "encoder.0.weight".into(),
        None => format!("encoder.{}", torchvision.replace(".downsample.", ".skip.")),
    }
}

/// The name in torchvision of an encoder's parameter here, `encoder.` left out.
pub(super) fn theirs(ours: &str) -> String {
    match ours.strip_prefix("0.") {
        Some("weight") => "conv1.weight".into(),
        Some(rest) => rest.replace("norm.", "bn1."),
        None => ours.replace(".skip.", ".downsample."),
    }
}
