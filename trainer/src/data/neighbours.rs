//! Similar words of a vocabulary, from word vectors or from a list of synonyms.
//!
//! - Vectors, in the text format of word2vec and fastText (`.vec`, gzipped or not): a first line "count dimension" that
//!   may be missing, then lines `word x₁ … x_d`. Of the vocabulary's words in the file, the neighbours of w are the k
//!   others with the largest cosine xᵀy/(‖x‖‖y‖), as in the official code of Nozawa & Sato (2021), which takes k = 5
//!   among the words of AG News in fastText's crawl-300d-2M. Sums in f32 choose k + 8 candidates, sums in f64 order
//!   them; of equal cosines the more frequent word comes first.
//! - Synonyms (`.tsv`): lines `synset TAB word TAB word …`. The neighbours of w are the other members of its synsets
//!   that are in the vocabulary, all of them, in the order of the file; capitals mean nothing.
//!
//! A word that the file does not have has no neighbours.

use crate::error::{Error, Result};
use crate::ops::vector::dot;
use flate2::read::MultiGzDecoder;
use measure::pool::{map, simd};
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// Candidates beyond k that are ordered in f64.
const SPARE: usize = 8;
/// Bytes of a line: a word, and a thousand numbers of fifteen digits need a sixtieth of it.
const LONGEST_LINE: u64 = 1 << 20;
/// Words whose neighbours one job finds.
const WORDS_PER_JOB: usize = 64;

/// A file, and how many neighbours are taken of vectors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The file.
    pub file: PathBuf,
    /// k.
    pub count: usize,
}

impl Source {
    /// `file`, or the first of `vectors.vec`, `vectors.vec.gz` and `synonyms.tsv` that `folder` has.
    ///
    /// # Errors
    /// There is none; a count of 0.
    pub fn find(file: Option<&Path>, folder: Option<&Path>, count: usize) -> Result<Self> {
        if count == 0 {
            return Err(Error::argument("augmentation.neighbours = 0 leaves nothing to replace words by"));
        }
        let names = ["vectors.vec", "vectors.vec.gz", "synonyms.tsv"];
        let mut found = file.map(Path::to_path_buf);
        for kept in folder.into_iter().flat_map(|folder| names.map(|name| folder.join(name))) {
            if found.is_none() && theory::files::exists(&kept)? {
                found = Some(kept);
            }
        }
        let missing = || {
            let place = folder.map_or("no folder was given".into(), |f| format!("{} has none", f.display()));
            Error::argument(format!(
                "augmentation.kind = replace needs {} ({place}) or augmentation.neighbours_file",
                names.join(", ")
            ))
        };
        Ok(Self { file: found.ok_or_else(missing)?, count })
    }
}

/// Neighbours of each word of a vocabulary.
#[derive(Debug, Clone, Default)]
pub struct Neighbours {
    words: Vec<u32>,
    /// Where the neighbours of each word end.
    ends: Vec<usize>,
}

impl Neighbours {
    /// A checksum of all lists.
    pub fn checksum(&self) -> u32 {
        let words = self.words.iter().fold(0, |sum, word| crc32c::crc32c_append(sum, &word.to_le_bytes()));
        self.ends.iter().fold(words, |sum, &end| crc32c::crc32c_append(sum, &(end as u64).to_le_bytes()))
    }

    /// Neighbours of each word of the vocabulary, by number.
    ///
    /// # Errors
    /// A number outside the vocabulary.
    pub fn new(lists: Vec<Vec<u32>>) -> Result<Self> {
        let mut all = Self::default();
        for list in &lists {
            if let Some(word) = list.iter().find(|&&word| word as usize >= lists.len()) {
                return Err(Error::argument(format!(
                    "word {word} is outside a vocabulary of {}",
                    lists.len()
                )));
            }
            all.words.extend(list);
            all.ends.push(all.words.len());
        }
        Ok(all)
    }

    /// The neighbours of a word.
    pub fn of(&self, word: u32) -> &[u32] {
        let word = word as usize;
        let start = if word == 0 { 0 } else { self.ends[word - 1] };
        &self.words[start..self.ends[word]]
    }

    /// How many words have a neighbour.
    pub fn num_words(&self) -> usize {
        (0..self.ends.len()).filter(|&word| !self.of(word as u32).is_empty()).count()
    }

    /// Reads a file: synonyms where its name ends in `.tsv`, else vectors, gunzipped where it ends in `.gz`.
    ///
    /// # Errors
    /// Unreadable file; a line of another form, with its number; no word of the vocabulary.
    pub fn read(source: &Source, vocabulary: &[String]) -> Result<Self> {
        let path = &source.file;
        let (file, _) = measure::input::open(path)?;
        let ends_in = |ending: &str| path.extension().is_some_and(|e| e.eq_ignore_ascii_case(ending));
        if ends_in("tsv") {
            return Self::synonyms(BufReader::new(file), path, vocabulary);
        }
        let stream: Box<dyn Read> =
            if ends_in("gz") { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) };
        Self::vectors(BufReader::with_capacity(1 << 20, stream), path, vocabulary, source.count)
    }

    /// Members of the same synsets; `place` is for messages.
    ///
    /// # Errors
    /// A line without a tab, or not in UTF-8; no synset with two words of the vocabulary.
    pub fn synonyms(stream: impl BufRead, place: &Path, vocabulary: &[String]) -> Result<Self> {
        let numbers = numbers(vocabulary);
        let mut lists = vec![Vec::new(); vocabulary.len()];
        for_each_line(stream, place, |number, line| {
            let bad = |what: &str| Error::data(place, format!("line {number}: {what}"));
            let line = std::str::from_utf8(line).map_err(|_| bad("not UTF-8"))?;
            let (_, members) = line.split_once('\t').ok_or_else(|| bad("not a synset, a tab, words"))?;
            let found = |word: &str| numbers.get(word.to_lowercase().as_bytes()).copied();
            let members: Vec<u32> = members.split('\t').filter_map(found).collect();
            for &word in &members {
                let list: &mut Vec<u32> = &mut lists[word as usize];
                for &other in &members {
                    if other != word && !list.contains(&other) {
                        list.push(other);
                    }
                }
            }
            Ok(())
        })?;
        if lists.iter().all(Vec::is_empty) {
            return Err(Error::data(place, "no word of the vocabulary has a synonym there"));
        }
        Self::new(lists)
    }

    /// The `count` largest cosines; `place` is for messages.
    ///
    /// # Errors
    /// A line with fewer numbers than the header or the first line, a number that is not finite; no word of the
    /// vocabulary.
    pub fn vectors(stream: impl BufRead, place: &Path, vocabulary: &[String], count: usize) -> Result<Self> {
        let numbers = numbers(vocabulary);
        let (mut dimension, mut header) = (0, false);
        // By number, so that of equal cosines the more frequent word comes first, whatever the order of the file.
        let mut vectors: Vec<Option<Vec<f32>>> = vec![None; vocabulary.len()];
        for_each_line(stream, place, |number, line| {
            let bad = |what: String| Error::data(place, format!("line {number}: {what}"));
            let fields =
                || line.split(|&byte| byte == b' ' || byte == b'\t').filter(|field| !field.is_empty());
            let num_fields = fields().count();
            if number == 1 {
                let whole = |field: &[u8]| std::str::from_utf8(field).ok()?.parse::<usize>().ok();
                let last = fields().next_back().and_then(whole);
                if let (2, Some(_), Some(size)) = (num_fields, fields().next().and_then(whole), last) {
                    (dimension, header) = (size, true);
                    return Ok(());
                }
                dimension = num_fields.saturating_sub(1);
            }
            if dimension == 0 || num_fields <= dimension {
                let expected = dimension.max(1);
                return Err(bad(format!("{num_fields} fields instead of a word and {expected} numbers")));
            }
            // More fields: a word with blanks, which no vocabulary of tokens has.
            let word = fields().next().filter(|_| num_fields == dimension + 1);
            let Some(&word) = word.and_then(|word| numbers.get(word)) else { return Ok(()) };
            let parse = |field: &[u8]| {
                let value = std::str::from_utf8(field).ok().and_then(|text| text.parse::<f32>().ok());
                value.filter(|x| x.is_finite()).ok_or_else(|| {
                    bad(format!("'{}' is no finite number", String::from_utf8_lossy(field).escape_debug()))
                })
            };
            let vector = fields().skip(1).map(parse).collect::<Result<Vec<f32>>>()?;
            vectors[word as usize].get_or_insert(vector);
            Ok(())
        })?;
        let known: Vec<u32> =
            (0..vocabulary.len() as u32).filter(|&word| vectors[word as usize].is_some()).collect();
        if known.is_empty() {
            let after = if header { " after its header" } else { "" };
            return Err(Error::data(place, format!("the file{after} has no word of the vocabulary")));
        }
        let rows: Vec<Vec<f32>> = vectors.into_iter().flatten().map(unit).collect();
        let nearest = map(rows.chunks(WORDS_PER_JOB).enumerate(), |(job, words)| {
            let first = job * WORDS_PER_JOB;
            (first..first + words.len()).map(|index| nearest(&rows, index, count)).collect::<Vec<_>>()
        });
        let mut lists = vec![Vec::new(); vocabulary.len()];
        for (&word, list) in known.iter().zip(nearest.into_iter().flatten()) {
            lists[word as usize] = list.into_iter().map(|index| known[index]).collect();
        }
        Self::new(lists)
    }
}

/// The `count` rows with the largest product with row `index`, but for itself.
fn nearest(rows: &[Vec<f32>], index: usize, count: usize) -> Vec<usize> {
    let mut products: Vec<(f32, usize)> = Vec::with_capacity(rows.len());
    simd(|| products.extend(rows.iter().enumerate().map(|(other, row)| (dot(&rows[index], row), other))));
    products.swap_remove(index);
    let kept = (count + SPARE).min(products.len());
    let descending = |a: &(f32, usize), b: &(f32, usize)| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1));
    if kept > 0 && kept < products.len() {
        products.select_nth_unstable_by(kept - 1, descending);
        products.truncate(kept);
    }
    let product = |other: usize| -> f64 {
        rows[index].iter().zip(&rows[other]).map(|(&x, &y)| f64::from(x) * f64::from(y)).sum()
    };
    let mut exact: Vec<(f64, usize)> =
        products.into_iter().map(|(_, other)| (product(other), other)).collect();
    exact.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    // Collected in place, it would keep the room of all products: 2 GB for the words of AG News.
    let mut found: Vec<usize> = exact.into_iter().take(count).map(|(_, other)| other).collect();
    found.shrink_to_fit();
    found
}

/// x/‖x‖; 0 stays.
fn unit(mut vector: Vec<f32>) -> Vec<f32> {
    let norm = vector.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt();
    if norm > 0.0 {
        vector.iter_mut().for_each(|x| *x = (f64::from(*x) / norm) as f32);
    }
    vector
}

fn numbers(vocabulary: &[String]) -> HashMap<&[u8], u32> {
    vocabulary.iter().enumerate().map(|(number, word)| (word.as_bytes(), number as u32)).collect()
}

/// Calls `read` with the number of each line, from 1, and the line without its end.
fn for_each_line(
    mut stream: impl BufRead,
    place: &Path,
    mut read: impl FnMut(usize, &[u8]) -> Result<()>,
) -> Result<()> {
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        let mut part = stream.by_ref().take(LONGEST_LINE + 1);
        let length = part.read_until(b'\n', &mut line).map_err(|e| Error::io(place, e))?;
        if length == 0 {
            break;
        }
        if length as u64 > LONGEST_LINE {
            return Err(Error::data(place, format!("line {number} has more than {LONGEST_LINE} bytes")));
        }
        let end = line.iter().rposition(|byte| !matches!(byte, b'\n' | b'\r')).map_or(0, |last| last + 1);
        read(number, &line[..end])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use measure::rng::{Purpose, normal, stream};
    use std::io::Write;

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(ToString::to_string).collect()
    }

    fn vectors(text: &str, vocabulary: &[String], count: usize) -> Result<Neighbours> {
        Neighbours::vectors(text.as_bytes(), Path::new("v.vec"), vocabulary, count)
    }

    #[test]
    fn neighbours_are_the_largest_cosines() {
        let vocabulary = words(&["a", "b", "c", "d", "e"]);
        // The cosine, not the product: c is long. The file's `x` is in no vocabulary, and `e` in no file.
        let lines = "a 1 0\nb 1 1 \nc 0 9\nd -1 0.1\nx 1 0.01\nb 7 7\n";
        for text in
            [lines.to_string(), format!("6 2\n{lines}"), format!("6 2\r\n{}", lines.replace('\n', "\r\n"))]
        {
            let found = vectors(&text, &vocabulary, 2).unwrap();
            let lists: Vec<&[u32]> = (0..5).map(|word| found.of(word)).collect();
            assert_eq!(lists, [&[1, 2][..], &[0, 2], &[1, 3], &[2, 1], &[]]);
            assert_eq!(found.num_words(), 4);
        }
        assert_eq!(vectors(lines, &vocabulary, 9).unwrap().of(0), [1, 2, 3]);
    }

    /// Against all pairs sorted in f64, with a vector that occurs twice: the smaller number comes first.
    #[test]
    fn many_words_against_all_pairs() {
        let mut rng = stream(1, Purpose::Split, 0);
        let mut rows: Vec<Vec<f64>> =
            (0..150).map(|_| (0..20).map(|_| f64::from(normal(&mut rng))).collect()).collect();
        rows[140] = rows[3].clone();
        let vocabulary: Vec<String> = (0..150).map(|i| format!("w{i}")).collect();
        let text: String = (0..150)
            .map(|i| format!("w{i} {}\n", rows[i].iter().map(f64::to_string).collect::<Vec<_>>().join(" ")))
            .collect();
        let found = vectors(&text, &vocabulary, 5).unwrap();
        let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
        let cosine = |i: usize, j: usize| {
            product(&rows[i], &rows[j]) / (product(&rows[i], &rows[i]) * product(&rows[j], &rows[j])).sqrt()
        };
        for i in 0..150 {
            let mut others: Vec<usize> = (0..150).filter(|&j| j != i).collect();
            others.sort_by(|&a, &b| cosine(i, b).total_cmp(&cosine(i, a)).then(a.cmp(&b)));
            let expected: Vec<u32> = others[..5].iter().map(|&j| j as u32).collect();
            assert_eq!(found.of(i as u32), expected, "word {i}");
        }
    }

    #[test]
    fn lists_keep_no_room_for_the_products_of_all_words() {
        let rows: Vec<Vec<f32>> = (0..1000).map(|i| unit(vec![i as f32, 1.0])).collect();
        let found = nearest(&rows, 500, 5);
        assert_eq!(found.len(), 5);
        assert!(found.capacity() < 20, "room for {}", found.capacity());
    }

    #[test]
    fn bad_vectors_name_the_line() {
        let vocabulary = words(&["a", "b"]);
        for (text, expected) in [
            ("a 1 2\nb 1\n", "v.vec: line 2: 2 fields instead of a word and 2 numbers"),
            ("2 3\na 1 2 3\n\n", "v.vec: line 3: 0 fields instead of a word and 3 numbers"),
            ("a 1 2\nb 1 x\n", "v.vec: line 2: 'x' is no finite number"),
            ("a 1 nan\n", "v.vec: line 1: 'nan' is no finite number"),
            ("a\n", "v.vec: line 1: 1 fields instead of a word and 1 numbers"),
            ("", "v.vec: the file has no word of the vocabulary"),
            ("9 2\nq 1 2\n", "v.vec: the file after its header has no word of the vocabulary"),
        ] {
            assert_eq!(vectors(text, &vocabulary, 5).unwrap_err().to_string(), expected);
        }
        // Other words may have any form.
        assert!(vectors("a 1 2\n. . . 1 2\nq x y\n", &vocabulary, 5).is_ok());
    }

    #[test]
    fn synonyms_are_members_of_the_same_synsets() {
        let vocabulary = words(&["car", "auto", "machine", "road", "may"]);
        let text =
            "1-n\tcar\tauto\tmotorcar\tMachine\r\n2-n\tmachine\tcar\n3-n\tMay\tmay\n4-n\troad\thigh road\n";
        let read = |text: &str| Neighbours::synonyms(text.as_bytes(), Path::new("s.tsv"), &vocabulary);
        let found = read(text).unwrap();
        let lists: Vec<&[u32]> = (0..5).map(|word| found.of(word)).collect();
        assert_eq!(lists, [&[1, 2][..], &[0, 2], &[0, 1], &[], &[]]);
        let error = read("1-n\tcar\tauto\n\n").unwrap_err().to_string();
        assert_eq!(error, "s.tsv: line 2: not a synset, a tab, words");
        assert!(read("1-n\tcar\n").is_err());
    }

    #[test]
    fn files_are_found_and_gunzipped() {
        let folder = tempfile::tempdir().unwrap();
        let vocabulary = words(&["a", "b", "c"]);
        let error = Source::find(None, Some(folder.path()), 1).unwrap_err().to_string();
        assert!(error.contains("vectors.vec") && error.contains("neighbours_file"), "{error}");
        assert!(Source::find(None, Some(folder.path()), 0).is_err());
        let path = folder.path().join("vectors.vec.gz");
        let file = std::fs::File::create(&path).unwrap();
        let mut encoder = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
        encoder.write_all(b"a 1 0\nb 0 1\nc 1 1\n").unwrap();
        encoder.finish().unwrap();
        let source = Source::find(None, Some(folder.path()), 1).unwrap();
        assert_eq!(source.file, path);
        assert_eq!(Neighbours::read(&source, &vocabulary).unwrap().of(0), [2]);
    }
}
