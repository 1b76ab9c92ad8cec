//! The files by directory.

use std::collections::BTreeMap;

use crate::name;

/// What a name in a directory stands for.
pub enum Node<'a> {
    /// A directory.
    Directory(Directory<'a>),
    /// A file's contents.
    File(&'a [u8]),
}

/// A directory's entries, in the order in which they were added.
#[derive(Default)]
pub struct Directory<'a> {
    /// Name and what it stands for.
    pub entries: Vec<(String, Node<'a>)>,
    /// Where a name is, whatever its case: FAT keeps the case and ignores it.
    index: BTreeMap<String, usize>,
}

impl<'a> Directory<'a> {
    /// Adds a file, and the directories on its way.
    pub fn add(&mut self, path: &str, bytes: &'a [u8]) -> Result<(), String> {
        let (name, rest) = match path.split_once('/') {
            Some((name, rest)) => (name, Some(rest)),
            None => (path, None),
        };
        if !name::is_allowed(name) {
            return Err(format!("'{name}' cannot be a file's name"));
        }
        let key = name.to_ascii_uppercase();
        let known = self.index.get(&key).copied();
        match (rest, known) {
            (None, Some(_)) => Err("is there twice".into()),
            (None, None) => {
                self.insert(key, name, Node::File(bytes));
                Ok(())
            }
            (Some(rest), known) => {
                let at = known.unwrap_or_else(|| {
                    self.insert(key, name, Node::Directory(Directory::default()))
                });
                match &mut self.entries[at].1 {
                    Node::Directory(directory) => directory.add(rest, bytes),
                    Node::File(_) => Err(format!("'{name}' is a file")),
                }
            }
        }
    }

    fn insert(&mut self, key: String, name: &str, node: Node<'a>) -> usize {
        let at = self.entries.len();
        self.entries.push((name.to_string(), node));
        self.index.insert(key, at);
        at
    }
}
