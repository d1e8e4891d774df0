//! ImageNet's own layout: evaluated images in one folder, their classes in a list beside it.
//!
//! The lists that people have, looked for in DIR and then in the folder of the images:
//!
//! | file | of image `ILSVRC2012_val_00000293` |
//! |---|---|
//! | `LOC_val_solution.csv` (Kaggle) | the line `ILSVRC2012_val_00000293,n01440764 …`: its first word is the class |
//! | `imagenet_2012_validation_synset_labels.txt` | line 293 is the class |
//! | `ILSVRC2012_validation_ground_truth.txt` (devkit) with `synsets.txt`, which the devkit has not: see `docs/images.md` | line 293 is a number, and that line of `synsets.txt` the class |
//!
//! Classes are those of the training images; images of others are left out.

use super::left_out::LeftOut;
use super::listing::Classes;
use crate::error::{Error, Result};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use theory::files::exists;

const KAGGLE: &str = "LOC_val_solution.csv";
const SYNSETS_OF_IMAGES: &str = "imagenet_2012_validation_synset_labels.txt";
const GROUND_TRUTH: &str = "ILSVRC2012_validation_ground_truth.txt";
const SYNSETS: &str = "synsets.txt";

/// Where the devkit has its list.
const DEVKIT: &str = "ILSVRC2012_devkit_t12/data";

/// The classes of evaluated images.
enum List {
    /// By the name of the image without its ending.
    Named(HashMap<String, String>),
    /// By the number at the end of that name, from 1.
    Numbered(Vec<String>),
}

/// The images of `folder`/`part` by class, where `of_train` are the classes.
///
/// # Errors
/// There is no list, or one that is none.
pub(super) fn by_class(
    folder: &Path,
    part: &str,
    images: Vec<PathBuf>,
    of_train: &Classes,
    left_out: &mut LeftOut,
) -> Result<Classes> {
    let list = List::find(folder, part)?;
    let mut classes: Classes = of_train.keys().map(|class| (class.clone(), Vec::new())).collect();
    for image in images {
        let reason = match list.class_of(&image) {
            None => "its class is not in the list".to_string(),
            Some(class) => match classes.get_mut(std::ffi::OsStr::new(class)) {
                Some(of_class) => {
                    of_class.push(image);
                    continue;
                }
                None => format!("of class '{class}', which the training images have not"),
            },
        };
        left_out.add(&image.to_string_lossy(), &reason);
    }
    Ok(classes)
}

impl List {
    fn find(folder: &Path, part: &str) -> Result<Self> {
        let places = [folder.to_path_buf(), folder.join(part), folder.join(DEVKIT)];
        let find = |name: &str| -> Result<Option<PathBuf>> {
            for place in &places {
                if exists(&place.join(name))? {
                    return Ok(Some(place.join(name)));
                }
            }
            Ok(None)
        };
        if let Some(path) = find(KAGGLE)? {
            return Self::named(&path);
        }
        if let Some(path) = find(SYNSETS_OF_IMAGES)? {
            return lines_of(&path).map(Self::Numbered);
        }
        match (find(GROUND_TRUTH)?, find(SYNSETS)?) {
            (Some(numbers), Some(synsets)) => {
                let classes = lines_of(&synsets)?;
                let class = |(line, text): (usize, &String)| {
                    let number = text.parse::<usize>().ok().and_then(|number| number.checked_sub(1));
                    number.and_then(|number| classes.get(number).cloned()).ok_or_else(|| {
                        let (line, of) = (line + 1, classes.len());
                        Error::data(
                            &numbers,
                            format!("line {line}: '{text}' is no line of the {of} of {SYNSETS}"),
                        )
                    })
                };
                lines_of(&numbers)?.iter().enumerate().map(class).collect::<Result<_>>().map(Self::Numbered)
            }
            (truth, _) => {
                let missing = match truth {
                    Some(_) => format!("{GROUND_TRUTH} needs {SYNSETS}, the classes in the devkit's order"),
                    None => format!("there is neither {KAGGLE} nor {SYNSETS_OF_IMAGES} nor {GROUND_TRUTH}"),
                };
                let images = folder.join(part);
                Err(Error::data(&images, format!("its images lie in folders of no class, and {missing}")))
            }
        }
    }

    /// Kaggle's list, with its first line `ImageId,PredictionString` or without.
    fn named(path: &Path) -> Result<Self> {
        let mut classes = HashMap::new();
        for (text, number) in lines_of(path)?.iter().zip(1..) {
            let bad = |reason: &str| Error::data(path, format!("line {number}: '{text}' {reason}"));
            let (image, boxes) = text.split_once(',').ok_or_else(|| bad("is not 'image,class …'"))?;
            if number == 1 && image == "ImageId" {
                continue;
            }
            let class = boxes.split_whitespace().next().ok_or_else(|| bad("names no class"))?;
            if classes.insert(image.trim().to_string(), class.to_string()).is_some() {
                return Err(bad("is of an image that an earlier line has"));
            }
        }
        Ok(Self::Named(classes))
    }

    fn class_of(&self, image: &Path) -> Option<&str> {
        let name = image.file_stem()?.to_str()?;
        match self {
            Self::Named(classes) => classes.get(name).map(String::as_str),
            Self::Numbered(classes) => {
                let number: usize = name.rsplit('_').next()?.parse().ok()?;
                classes.get(number.checked_sub(1)?).map(String::as_str)
            }
        }
    }
}

/// The lines of a text, without the blanks around them and without blank lines at the end.
fn lines_of(path: &Path) -> Result<Vec<String>> {
    let text = String::from_utf8(measure::input::read(path)?)
        .map_err(|_| Error::data(path, "is no text in UTF-8"))?;
    Ok(text.trim_end().lines().map(|line| line.trim().to_string()).collect())
}
