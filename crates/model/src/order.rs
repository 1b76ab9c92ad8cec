//! Sorting what is little, or nearly in order, in little code: the library's sorts are for
//! much, and would be a hundredth of the image.

/// Sorts, in a number of steps that grows with the square of what is out of order.
pub fn sort<T: Ord + Copy>(all: &mut [T]) {
    for end in 1..all.len() {
        let mut at = end;
        while at > 0 && all[at] < all[at - 1] {
            all.swap(at, at - 1);
            at -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn as_the_library_does(mut all in proptest::collection::vec(any::<u8>(), 0..40)) {
            let mut expected = all.clone();
            expected.sort_unstable();
            sort(&mut all);
            prop_assert_eq!(all, expected);
        }
    }
}
