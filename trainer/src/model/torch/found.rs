//! Encoder and head among the keys of a file.

use super::encoder::{self, Place, follows};
use super::head::{Candidate, Source};
use crate::model::residual::Depth;
use crate::model::{Architecture, Head, HeadLayers, Model, Options, Stem};
use std::collections::{BTreeMap, BTreeSet};

/// Most encoders in a file.
const MOST_ENCODERS: usize = 32;

/// What a file holds.
pub(super) struct Found {
    /// Where the parameters here come from, by their names.
    pub sources: BTreeMap<String, Source>,
    /// With the default padding of its stem, which no file names.
    pub model: Model,
    /// A line each.
    pub remarks: Vec<String>,
}

impl Found {
    /// What is found among keys of these shapes.
    ///
    /// # Errors
    /// No ResNet of a depth that is known here; several encoders or heads between which nothing chooses; a prefix that is not
    /// there; a head of other layers.
    pub fn new(shapes: &BTreeMap<String, Vec<usize>>, prefixes: &[String]) -> Result<Self, String> {
        let none = HeadLayers::new(&[]).map_err(|e| e.to_string())?;
        if let Some(key) = shapes.keys().find(|key| key.chars().any(char::is_control)) {
            return Err(format!("the key '{}' is no name of Python's", key.escape_debug()));
        }
        let options = Options { head: Head::Layers(none), ..Options::default() };
        let model = Model { architecture: Architecture::Resnet18, options };
        let mut found = Self { sources: BTreeMap::new(), model, remarks: Vec::new() };
        found.find(shapes, prefixes)?;
        Ok(found)
    }

    fn find(&mut self, shapes: &BTreeMap<String, Vec<usize>>, prefixes: &[String]) -> Result<(), String> {
        let chosen =
            |name: &str| prefixes.iter().any(|p| p.trim_end_matches('.') == name.trim_end_matches('.'));
        let encoders = Place::all(shapes);
        if encoders.len() > MOST_ENCODERS {
            return Err(format!("{} encoders: a model has {MOST_ENCODERS} at most", encoders.len()));
        }
        let names = encoders.iter().map(|place| place.prefix.as_str());
        let place = match choose(names, chosen, |name| !follows(name)) {
            Choice::One(index) => &encoders[index],
            Choice::Of(index) => {
                let (one, all) = (&encoders[index], encoders.iter());
                let others = list(all.filter(|place| *place != one).map(|place| place.prefix.as_str()));
                let remark =
                    format!("the encoder '{}' is read, not {others}; --torch-prefix chooses", one.prefix);
                self.remarks.push(remark);
                one
            }
            Choice::None => {
                return Err("there is no 'layer1.0.conv1.weight' behind any prefix: not a ResNet".into());
            }
            Choice::Several => {
                let all = list(encoders.iter().map(|place| place.prefix.as_str()));
                return Err(format!("several encoders, {all}: choose one with --torch-prefix"));
            }
        };
        for key in shapes.keys() {
            if let Some(name) = place.torchvision(key) {
                self.sources.insert(encoder::ours(&name), Source::Key(key.clone()));
            }
        }
        self.sources.retain(|name, _| !name.ends_with("num_batches_tracked"));
        let features = self.recognise(place, shapes)?;
        let mut heads = Candidate::all(shapes, &encoders, features);
        if let Some(root) = Candidate::out_of_order(shapes, &encoders, features) {
            return Err(format!(
                "'{root}' is named as a head, but the names of its layers do not tell their order"
            ));
        }
        let all: Vec<String> = heads.iter().map(|head| head.root.clone()).collect();
        heads.retain(|head| {
            chosen(&head.root) || !head.is_other(&encoders) && follows(&head.root) == follows(&place.prefix)
        });
        let roots = heads.iter().map(|head| head.root.as_str());
        let index = match choose(roots, chosen, |root| {
            heads.iter().any(|head| head.root == root && head.is_projection())
        }) {
            Choice::None => None,
            Choice::One(index) | Choice::Of(index) => Some(index),
            Choice::Several => {
                let all = list(heads.iter().map(|head| head.root.as_str()));
                return Err(format!("several heads, {all}: choose one with --torch-prefix"));
            }
        };
        let unknown = prefixes.iter().map(|prefix| prefix.trim_end_matches('.')).find(|prefix| {
            let known = encoders.iter().map(|place| place.prefix.trim_end_matches('.'));
            !known.chain(all.iter().map(String::as_str)).any(|name| name == *prefix)
        });
        if let Some(unknown) = unknown {
            let known = list(
                encoders.iter().map(|place| place.prefix.as_str()).chain(all.iter().map(String::as_str)),
            );
            return Err(format!(
                "there is neither encoder nor head behind the prefix '{unknown}', but behind {known}"
            ));
        }
        match index {
            Some(index) => {
                let (layers, sources) =
                    heads[index].layers().map_err(|e| format!("the head '{}': {e}", heads[index].root))?;
                self.model.options.head = Head::Layers(layers);
                self.sources.extend(sources);
                self.remarks.push(format!("the head '{}' is read as {layers}", heads[index].root));
            }
            None => self.remarks.push("there is no head: head features are the encoder's".into()),
        }
        let unused = self.unused(shapes);
        // Counters of training steps, which nobody misses.
        let unused: Vec<_> = unused.iter().filter(|key| !key.ends_with("num_batches_tracked")).collect();
        match unused[..] {
            [] => {}
            [key] => self.remarks.push(format!("'{key}' is not used")),
            [key, ..] => {
                self.remarks.push(format!("{} entries are not used, such as '{key}'", unused.len()));
            }
        }
        Ok(())
    }

    /// Which network the encoder is; its features.
    fn recognise(&mut self, place: &Place, shapes: &BTreeMap<String, Vec<usize>>) -> Result<usize, String> {
        let shape = |name: &str| match self.sources.get(name) {
            Some(Source::Key(key)) => shapes.get(key).map(|shape| (key, shape.as_slice())),
            _ => None,
        };
        let blocks = |stage: usize| {
            let first = |index| format!("encoder.layer{stage}.{index}.conv1.weight");
            (0..).take_while(|&index| shape(&first(index)).is_some()).count()
        };
        let blocks = [1, 2, 3, 4].map(blocks);
        let bottleneck = shape("encoder.layer1.0.conv3.weight").is_some();
        let of_depth = |depth: Depth| (depth.blocks, depth.bottleneck) == (blocks, bottleneck);
        let known = Depth::ALL.into_iter().find(|(_, depth)| of_depth(*depth));
        let Some((architecture, _)) = known else {
            let kind = if bottleneck { "bottlenecks" } else { "basic blocks" };
            return Err(format!(
                "behind '{}', the four stages have {blocks:?} {kind}: neither ResNet-18 (basic blocks [2, 2, 2, 2]) nor \
                 ResNet-34 or 50 (basic blocks or bottlenecks [3, 4, 6, 3])",
                place.prefix
            ));
        };
        let last = format!("encoder.layer4.{}.conv{}.weight", blocks[3] - 1, 2 + usize::from(bottleneck));
        let features = match shape(&last) {
            Some((_, [features, ..])) => *features,
            Some((key, [])) => return Err(format!("'{key}' is a single number")),
            None => return Err(format!("there is nothing for '{last}'")),
        };
        let is_wide = matches!(shape("encoder.0.weight"), Some((_, [_, _, 7, 7])));
        let options = &mut self.model.options;
        options.stem = if is_wide { Stem::Imagenet } else { Stem::Small };
        options.stem_relu = place.has_stem_relu();
        if is_wide && !place.has_pooling() {
            return Err("there is no number for a pooling behind the stem of 7×7".into());
        }
        if !options.stem_relu {
            self.remarks.push("no ReLU stands behind the stem, as there is no number for it".into());
        }
        self.model.architecture = architecture;
        Ok(features)
    }

    /// The keys that no parameter comes from, in order.
    pub fn unused(&self, shapes: &BTreeMap<String, Vec<usize>>) -> Vec<String> {
        let keys = self.sources.values().filter_map(|source| match source {
            Source::Key(key) => Some(key),
            Source::Constant(..) => None,
        });
        let used: BTreeSet<&String> = keys.collect();
        shapes.keys().filter(|key| !used.contains(key)).cloned().collect()
    }
}

/// Which of several.
enum Choice {
    None,
    /// There is no other.
    One(usize),
    /// The others were passed over.
    Of(usize),
    Several,
}

/// The one that was chosen; else the only one; else the only one that is likely.
fn choose<'a>(
    names: impl Iterator<Item = &'a str>,
    chosen: impl Fn(&str) -> bool,
    likely: impl Fn(&str) -> bool,
) -> Choice {
    let names: Vec<&str> = names.collect();
    let of = |keep: &dyn Fn(&str) -> bool| -> Vec<usize> {
        (0..names.len()).filter(|&index| keep(names[index])).collect()
    };
    match (of(&chosen)[..].as_ref(), names.len(), of(&likely)[..].as_ref()) {
        ([index], _, _) => Choice::One(*index),
        (_, 0, _) => Choice::None,
        ([], 1, _) => Choice::One(0),
        ([], _, [index]) => Choice::Of(*index),
        _ => Choice::Several,
    }
}

/// The first of these names, and that there are more.
fn list<'a>(mut names: impl Iterator<Item = &'a str>) -> String {
    let mut listed: Vec<String> = names.by_ref().take(8).map(|name| format!("'{name}'")).collect();
    if names.next().is_some() {
        listed.push("…".into());
    }
    listed.join(", ")
}
