//! A map of a few small things: a sorted list. The code of a B-tree is many times as large,
//! for each kind of key and value, and the image has little room.

use alloc::vec::Vec;

/// A map in ascending order of its keys.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sorted<K, V>(Vec<(K, V)>);

impl<K, V> Default for Sorted<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K, V> Sorted<K, V> {
    /// A map with nothing in it.
    pub const fn new() -> Self {
        Self(Vec::new())
    }
}

impl<K: Ord + Copy, V> Sorted<K, V> {
    /// Where a key is, or would be.
    fn find(&self, key: K) -> Result<usize, usize> {
        self.0.binary_search_by_key(&key, |(key, _)| *key)
    }

    /// Puts a value there; what was there before.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        match self.find(key) {
            Ok(at) => Some(core::mem::replace(&mut self.0[at].1, value)),
            Err(at) => {
                self.0.insert(at, (key, value));
                None
            }
        }
    }

    /// What is there.
    pub fn get(&self, key: K) -> Option<&V> {
        let at = self.find(key).ok()?;
        self.0.get(at).map(|(_, value)| value)
    }

    /// How many there are.
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Is there none?
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Keys and values.
    pub fn iter(&self) -> core::slice::Iter<'_, (K, V)> {
        self.0.iter()
    }

    /// The values.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.iter().map(|(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeMap;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_is_what_a_tree_is(entries in proptest::collection::vec((0_u8..40, any::<u16>()), 0..60)) {
            let (mut tree, mut sorted) = (BTreeMap::new(), Sorted::default());
            for (key, value) in entries {
                prop_assert_eq!(sorted.insert(key, value), tree.insert(key, value));
            }
            for key in 0..40 {
                prop_assert_eq!(sorted.get(key), tree.get(&key));
            }
            prop_assert!(sorted.iter().map(|(k, v)| (k, v)).eq(&tree));
            prop_assert!(sorted.values().eq(tree.values()));
            prop_assert_eq!((sorted.len(), sorted.is_empty()), (tree.len(), tree.is_empty()));
        }
    }
}
