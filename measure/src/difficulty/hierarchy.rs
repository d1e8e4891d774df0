//! Distances of classes in a tree of words, such as WordNet's.
//!
//! A hierarchy is a CSV file with the header `node,parent,class`, a line a node: its name, the name of the node above
//! it (empty for the one root), and the number of the class that it is (empty for the others). Lines come in any order;
//! a class may stand above another. For classes a and b with e edges between them and the deepest common ancestor l,
//! depth counted in nodes from the root, which has 1:
//!
//! path similarity = 1/(1 + e),   Wu & Palmer (1994) = 2·depth(l)/(depth(a) + depth(b)).
//!
//! Both are 1 for a = b only. `data/README.md` says where those of some data sets come from.

use crate::error::{Error, Result};
use crate::matrix::Matrix;
use std::collections::HashMap;
use std::path::Path;

/// Classes in a tree.
#[derive(Debug, Clone, PartialEq)]
pub struct Hierarchy {
    /// The file, or the data set that it is compiled in for.
    pub name: String,
    /// The node of each class.
    pub classes: Vec<String>,
    /// 1/(1 + edges between two classes) \[C, C\].
    pub path: Matrix,
    /// 2·depth(l)/(depth(a) + depth(b)) \[C, C\].
    pub wu_palmer: Matrix,
}

/// A line of the file.
struct Node {
    name: String,
    parent: String,
    class: Option<usize>,
    line: u64,
}

impl Hierarchy {
    /// From a file.
    ///
    /// # Errors
    /// The file cannot be read, and those of [`parse`](Self::parse).
    pub fn read(path: &Path) -> Result<Self> {
        let text = String::from_utf8(crate::input::read(path)?)
            .map_err(|e| Error::data(path, format!("not UTF-8: {}", e.utf8_error())))?;
        Self::parse(&text, path)
    }

    /// From the text of a file; `place` is its name.
    ///
    /// # Errors
    /// The text is none of a tree: a name that comes twice, a parent that is no node, two roots or none, a circle; a
    /// class that comes twice or not at all.
    ///
    /// # Examples
    /// ```
    /// use measure::difficulty::Hierarchy;
    /// let tree = Hierarchy::parse("node,parent,class\nroot,,\na,root,0\nb,root,1\nc,b,2\n", "tree".as_ref())?;
    /// // a and b are two edges apart; the root has depth 1, both have 2.
    /// assert_eq!((tree.path.row(0)[1], tree.wu_palmer.row(0)[1]), (1.0 / 3.0, 0.5));
    /// # Ok::<(), measure::Error>(())
    /// ```
    pub fn parse(text: &str, place: &Path) -> Result<Self> {
        let bad = |message: String| Error::data(place, message);
        let nodes = nodes(text).map_err(bad)?;
        let parents = parents(&nodes).map_err(bad)?;
        let of_class = classes(&nodes).map_err(bad)?;
        let chains = of_class.iter().map(|&node| chain(&nodes, &parents, node));
        let chains: Vec<Vec<usize>> = chains.collect::<std::result::Result<_, _>>().map_err(bad)?;
        // Nodes that carry no class must not run in a circle either.
        for node in 0..nodes.len() {
            chain(&nodes, &parents, node).map_err(bad)?;
        }
        let count = of_class.len();
        let (mut path, mut wu_palmer) = (Matrix::zeros(count, count), Matrix::zeros(count, count));
        for (a, of_a) in chains.iter().enumerate() {
            for (b, of_b) in chains.iter().enumerate() {
                // Both chains begin at the root.
                let shared = of_a.iter().zip(of_b).take_while(|(x, y)| x == y).count();
                let edges = of_a.len() + of_b.len() - 2 * shared;
                path.row_mut(a)[b] = 1.0 / (1 + edges) as f64;
                wu_palmer.row_mut(a)[b] = (2 * shared) as f64 / (of_a.len() + of_b.len()) as f64;
            }
        }
        let names = of_class.iter().map(|&node| nodes[node].name.clone()).collect();
        Ok(Self { name: place.display().to_string(), classes: names, path, wu_palmer })
    }

    /// Fails where the samples have other classes than the hierarchy.
    ///
    /// # Errors
    /// Another number of classes.
    pub fn check(&self, num_classes: usize) -> Result<()> {
        let own = self.classes.len();
        if own == num_classes {
            return Ok(());
        }
        Err(Error::argument(format!(
            "the hierarchy {} has the classes 0 to {}, the samples have 0 to {}",
            self.name,
            own.saturating_sub(1),
            num_classes.saturating_sub(1)
        )))
    }
}

type Parsed<T> = std::result::Result<T, String>;

fn nodes(text: &str) -> Parsed<Vec<Node>> {
    let text = text.trim_start_matches('\u{feff}');
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .trim(csv::Trim::All)
        .from_reader(text.as_bytes());
    let mut nodes = Vec::new();
    for (index, record) in reader.records().enumerate() {
        let record = record.map_err(|e| format!("not readable: {e}"))?;
        let line = record.position().map_or(0, csv::Position::line);
        let fields: Vec<&str> = record.iter().collect();
        if index == 0 {
            if fields != ["node", "parent", "class"] {
                return Err(format!(
                    "line {line}: the header is '{}', not node,parent,class",
                    fields.join(",")
                ));
            }
            continue;
        }
        let &[name, parent, class] = &fields[..] else {
            return Err(format!("line {line}: {} fields, not node,parent,class", fields.len()));
        };
        if name.is_empty() {
            return Err(format!("line {line}: the node has no name"));
        }
        let class = match class {
            "" => None,
            text => Some(text.parse().map_err(|_| format!("line {line}: class '{text}' is not 0, 1, …"))?),
        };
        nodes.push(Node { name: name.into(), parent: parent.into(), class, line });
    }
    Ok(nodes)
}

/// Index of each node's parent; `None` for the one root.
fn parents(nodes: &[Node]) -> Parsed<Vec<Option<usize>>> {
    let mut places: HashMap<&str, usize> = HashMap::new();
    let mut root: Option<&Node> = None;
    for (index, node) in nodes.iter().enumerate() {
        if let Some(first) = places.insert(&node.name, index) {
            let first = nodes[first].line;
            return Err(format!("line {}: node '{}' stands on line {first} already", node.line, node.name));
        }
        if node.parent.is_empty() {
            if let Some(root) = root {
                let (a, b) = (&root.name, &node.name);
                return Err(format!(
                    "line {}: a second root '{b}' beside '{a}' (line {})",
                    node.line, root.line
                ));
            }
            root = Some(node);
        }
    }
    let parent = |node: &Node| match places.get(node.parent.as_str()) {
        Some(&parent) => Ok(Some(parent)),
        None if node.parent.is_empty() => Ok(None),
        None => {
            Err(format!("line {}: the parent '{}' of '{}' is no node", node.line, node.parent, node.name))
        }
    };
    nodes.iter().map(parent).collect()
}

/// The node of each class.
fn classes(nodes: &[Node]) -> Parsed<Vec<usize>> {
    let mut of_class: Vec<(usize, usize)> =
        nodes.iter().enumerate().filter_map(|(index, node)| Some((node.class?, index))).collect();
    of_class.sort_unstable();
    if of_class.is_empty() {
        return Err("no node has a class".into());
    }
    for (expected, &(class, node)) in of_class.iter().enumerate() {
        let Node { line, name, .. } = &nodes[node];
        if class < expected {
            let other = &nodes[of_class[expected - 1].1];
            return Err(format!(
                "line {line}: class {class} is '{name}', and '{}' on line {}",
                other.name, other.line
            ));
        }
        if class > expected {
            return Err(format!(
                "no node has the class {expected}, though '{name}' on line {line} has {class}"
            ));
        }
    }
    Ok(of_class.into_iter().map(|(_, node)| node).collect())
}

/// The nodes from the root to this one.
fn chain(nodes: &[Node], parents: &[Option<usize>], node: usize) -> Parsed<Vec<usize>> {
    let mut chain = vec![node];
    let mut place = node;
    while let Some(parent) = parents[place] {
        if chain.len() == nodes.len() {
            let Node { line, name, .. } = &nodes[node];
            return Err(format!("line {line}: the parents of '{name}' lead in a circle"));
        }
        chain.push(parent);
        place = parent;
    }
    chain.reverse();
    Ok(chain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Hierarchy> {
        Hierarchy::parse(text, Path::new("tree.csv"))
    }

    /// thing — animal — {dog, cat — kitten}, thing — car.
    const TREE: &str = "node,parent,class\n\
        thing,,\nanimal,thing,\ndog,animal,0\ncat,animal,1\nkitten,cat,2\ncar,thing,3\n";

    #[test]
    fn similarities_by_hand() {
        let tree = parse(TREE).unwrap();
        assert_eq!(tree.classes, ["dog", "cat", "kitten", "car"]);
        // Edges: dog–cat 2, dog–kitten 3, dog–car 3, cat–kitten 1, cat–car 3, kitten–car 4.
        let path = [
            [1.0, 1.0 / 3.0, 0.25, 0.25],
            [1.0 / 3.0, 1.0, 0.5, 0.25],
            [0.25, 0.5, 1.0, 0.2],
            [0.25, 0.25, 0.2, 1.0],
        ];
        // Depths: thing 1, animal 2, dog and cat 3, kitten 4, car 2.
        let wu_palmer = [
            [1.0, 4.0 / 6.0, 4.0 / 7.0, 2.0 / 5.0],
            [4.0 / 6.0, 1.0, 6.0 / 7.0, 2.0 / 5.0],
            [4.0 / 7.0, 6.0 / 7.0, 1.0, 2.0 / 6.0],
            [2.0 / 5.0, 2.0 / 5.0, 2.0 / 6.0, 1.0],
        ];
        assert_eq!((tree.path.data, tree.wu_palmer.data), (path.concat(), wu_palmer.concat()));
        // Another order of the lines, Windows' line ends, spaces.
        let mut lines: Vec<&str> = TREE.lines().collect();
        lines[1..].reverse();
        assert_eq!(parse(&lines.join(" \r\n")).unwrap().path, parse(TREE).unwrap().path);
    }

    #[test]
    fn what_is_no_tree_is_refused_in_one_line() {
        let with = |lines: &str| {
            let error = parse(&format!("{TREE}{lines}")).unwrap_err().to_string();
            assert!(error.starts_with("tree.csv: ") && !error.contains('\n'), "{error}");
            error["tree.csv: ".len()..].to_string()
        };
        assert_eq!(with("stone,,"), "line 8: a second root 'stone' beside 'thing' (line 2)");
        assert_eq!(with("cat,thing,"), "line 8: node 'cat' stands on line 5 already");
        assert_eq!(with("bus,vehicle,"), "line 8: the parent 'vehicle' of 'bus' is no node");
        assert_eq!(with("a,b,\nb,a,"), "line 8: the parents of 'a' lead in a circle");
        assert_eq!(with("a,a,4"), "line 8: the parents of 'a' lead in a circle");
        assert_eq!(with("bus,thing,3"), "line 8: class 3 is 'bus', and 'car' on line 7");
        assert_eq!(with("bus,thing,5"), "no node has the class 4, though 'bus' on line 8 has 5");
        assert_eq!(with("bus,thing,x"), "line 8: class 'x' is not 0, 1, …");
        assert_eq!(with("bus,thing"), "line 8: 2 fields, not node,parent,class");
        assert_eq!(with(",thing,"), "line 8: the node has no name");
        let error = |text: &str| parse(text).unwrap_err().to_string();
        assert_eq!(
            error("class,parent\n"),
            "tree.csv: line 1: the header is 'class,parent', not node,parent,class"
        );
        assert_eq!(
            error("node,parent,class\na,b,0\nb,a,"),
            "tree.csv: line 2: the parents of 'a' lead in a circle"
        );
        assert_eq!(error("node,parent,class\na,,\n"), "tree.csv: no node has a class");
        assert_eq!(error(""), "tree.csv: no node has a class");
        assert_eq!(
            parse(TREE).unwrap().check(3).unwrap_err().to_string(),
            "the hierarchy tree.csv has the classes 0 to 3, the samples have 0 to 2"
        );
    }
}
