//! Which keys of a file are those of a projection head, and which layers it has.
//!
//! A head is a chain of linear layers. A state dict names what has numbers, so its layers are those of its shapes: a
//! matrix is a linear layer, a vector with running statistics is the batch normalisation of the layer before it. What
//! has no numbers is taken as everybody has it: a ReLU behind each linear layer with its normalisation but the last.

use super::encoder::{Place, words};
use crate::model::{After, HeadLayer, HeadLayers};
use std::collections::BTreeMap;

/// Most numbers of a head: 1 GiB of them.
const MOST_NUMBERS: usize = 1 << 28;

/// A module of a file: the shapes of its weight, its bias and whatever else has a name there.
type Module<'a> = BTreeMap<&'a str, &'a [usize]>;

/// What a parameter here is made of.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Source {
    /// The tensor under this key.
    Key(String),
    /// This many times one number: the weight or bias of a normalisation that has none.
    Constant(f32, usize),
}

/// A head that may be read.
#[derive(Debug)]
pub(super) struct Candidate<'a> {
    /// What its layers' names begin with.
    pub root: String,
    /// In the order of its layers.
    modules: Vec<(String, Module<'a>)>,
}

impl<'a> Candidate<'a> {
    /// What may be the head of an encoder with this many features: a chain whose first linear layer takes them.
    pub fn all(shapes: &'a BTreeMap<String, Vec<usize>>, encoders: &[Place], features: usize) -> Vec<Self> {
        Self::chains(shapes, encoders).filter(|chain| chain.begins_with(features)).collect()
    }

    /// The name of a chain that is called a projection and has a layer which takes the features, but not as its first.
    pub fn out_of_order(
        shapes: &'a BTreeMap<String, Vec<usize>>,
        encoders: &[Place],
        features: usize,
    ) -> Option<String> {
        let misread = |chain: &Self| {
            let takes = chain.modules.iter().any(|(_, module)| takes(module, features));
            takes && !chain.begins_with(features) && chain.is_projection() && !chain.is_other(encoders)
        };
        Self::chains(shapes, encoders).find(misread).map(|chain| chain.root)
    }

    fn begins_with(&self, features: usize) -> bool {
        self.modules.first().is_some_and(|(_, first)| takes(first, features))
    }

    /// What is behind one root each, layers in order, where that is no encoder's.
    fn chains(shapes: &'a BTreeMap<String, Vec<usize>>, encoders: &[Place]) -> impl Iterator<Item = Self> {
        let mut roots: BTreeMap<String, BTreeMap<&str, Module<'a>>> = BTreeMap::new();
        for (key, shape) in shapes.iter().filter(|(key, _)| !encoders.iter().any(|place| place.holds(key))) {
            let Some((module, part)) = key.rsplit_once('.') else { continue };
            let parts = roots.entry(root(module)).or_default().entry(module).or_default();
            parts.insert(part, shape);
        }
        roots.into_iter().map(|(root, modules)| {
            let mut modules: Vec<(String, Module<'a>)> =
                modules.into_iter().map(|(name, module)| (name.to_string(), module)).collect();
            modules.sort_by_cached_key(|(name, module)| order(&name[root.len()..], module));
            Self { root, modules }
        })
    }

    /// Whether it is named as something else than a projection: a classifier, a predictor, prototypes.
    pub fn is_other(&self, encoders: &[Place]) -> bool {
        const OTHERS: [&str; 3] = ["classif", "predict", "prototype"];
        let named = OTHERS.iter().any(|other| self.root.contains(other));
        named || self.modules.len() == 1 && encoders.iter().any(|place| place.is_classifier(&self.root))
    }

    /// Whether it is named as a projection.
    pub fn is_projection(&self) -> bool {
        self.root.contains("proj") || words(&self.root).contains("g")
    }

    /// Its layers, and where the parameters of the head here come from, by their names.
    ///
    /// # Errors
    /// Anything but linear layers and their batch normalisations; widths that do not fit each other.
    pub fn layers(&self) -> Result<(HeadLayers, BTreeMap<String, Source>), String> {
        let mut layers: Vec<HeadLayer> = Vec::new();
        let mut sources = BTreeMap::new();
        for (name, module) in &self.modules {
            let source = |part: &str| Source::Key(format!("{name}.{part}"));
            let other = module.keys().find(|part| {
                !["weight", "bias", "running_mean", "running_var", "num_batches_tracked"].contains(part)
            });
            if let Some(part) = other {
                return Err(format!("'{name}.{part}' is of no linear layer and no batch normalisation"));
            }
            match (module.get("weight"), module.get("running_mean")) {
                (Some([outputs, inputs]), None) => {
                    if let Some(last) = layers.last_mut() {
                        last.after.relu = true;
                        if last.outputs != *inputs {
                            let before = last.outputs;
                            return Err(format!(
                                "'{name}.weight' takes {inputs} numbers, not the {before} before it"
                            ));
                        }
                    }
                    let ours = format!("head.{}", layers.len());
                    let bias = module.contains_key("bias");
                    layers.push(HeadLayer { outputs: *outputs, after: After { bias, ..After::NOTHING } });
                    sources.insert(format!("{ours}.weight"), source("weight"));
                    if bias {
                        sources.insert(format!("{ours}.bias"), source("bias"));
                    }
                }
                (_, Some([channels])) => {
                    let index = layers.len().saturating_sub(1);
                    let fits = |last: &&mut HeadLayer| !last.after.norm && last.outputs == *channels;
                    let Some(last) = layers.last_mut().filter(fits) else {
                        return Err(format!(
                            "'{name}' normalises {channels} numbers behind no linear layer of as many"
                        ));
                    };
                    last.after.norm = true;
                    for (part, absent) in
                        [("weight", 1.0), ("bias", 0.0), ("running_mean", 0.0), ("running_var", 1.0)]
                    {
                        let given = module.contains_key(part);
                        let from = if given { source(part) } else { Source::Constant(absent, *channels) };
                        sources.insert(format!("head.{index}.norm.{part}"), from);
                    }
                }
                _ => {
                    return Err(format!(
                        "'{name}' is neither a linear layer nor a batch normalisation with running statistics"
                    ));
                }
            }
        }
        let numbers = |module: &Module<'_>| {
            module
                .get("weight")
                .map_or(0, |shape| shape.iter().fold(1usize, |product, &size| product.saturating_mul(size)))
        };
        let total = self.modules.iter().fold(0usize, |sum, (_, module)| sum.saturating_add(numbers(module)));
        if total > MOST_NUMBERS {
            return Err(format!("it has {total} numbers, more than {MOST_NUMBERS}"));
        }
        Ok((HeadLayers::new(&layers).map_err(|e| e.to_string())?, sources))
    }
}

/// Whether a module is a linear layer of so many features.
fn takes(module: &Module<'_>, features: usize) -> bool {
    matches!(module.get("weight"), Some([_, inputs]) if *inputs == features)
}

/// What the layers of a head have in common: the name up to one that says head or projection; else the module around
/// numbered layers; else the module itself.
fn root(module: &str) -> String {
    let is_head = |name: &str| {
        ["proj", "head"].iter().any(|word| name.contains(word)) || matches!(name, "g" | "fc" | "mlp")
    };
    let mut end = 0;
    for name in module.split('.') {
        end += name.len();
        if is_head(name) {
            return module[..end].into();
        }
        end += 1;
    }
    match module.rsplit_once('.') {
        Some((around, layer)) if layer.ends_with(|last: char| last.is_ascii_digit()) => around.into(),
        _ => module.into(),
    }
}

/// Sorts layers by the numbers in their names, and of those with one number linear layers first: `linear1`, `bn1`,
/// `linear2`; `0`, `1`, `3`.
fn order(name: &str, module: &Module<'_>) -> (Vec<usize>, bool) {
    let number = |name: &str| {
        let digits = name.len() - name.trim_end_matches(|c: char| c.is_ascii_digit()).len();
        name[name.len() - digits..].parse().unwrap_or(0)
    };
    let names = name.split('.').filter(|name| !name.is_empty());
    (names.map(number).collect(), module.contains_key("running_mean"))
}
