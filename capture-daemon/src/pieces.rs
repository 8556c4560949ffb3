//! A list that grows without being moved: a list that doubles in one place copies itself into fresh memory, which keeps a worker for
//! milliseconds where it has megabytes, and has room for up to twice what is in it.

/// Elements of a piece, a power of two.
const PIECE: usize = 128;

/// The list, in pieces that never move.
#[derive(Debug)]
pub struct Pieces<T> {
    /// All but the last are full, and none is empty.
    pieces: Vec<Vec<T>>,
    len: usize,
}

impl<T> Default for Pieces<T> {
    fn default() -> Self {
        Self {
            pieces: Vec::new(),
            len: 0,
        }
    }
}

impl<T> Pieces<T> {
    /// How many elements there are.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// The elements in order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.pieces.iter().flatten()
    }

    /// The element at `place`.
    pub fn get(&self, place: usize) -> Option<&T> {
        self.pieces.get(place / PIECE)?.get(place % PIECE)
    }

    /// The same, to be changed.
    pub fn get_mut(&mut self, place: usize) -> Option<&mut T> {
        self.pieces.get_mut(place / PIECE)?.get_mut(place % PIECE)
    }

    /// Adds an element at the end.
    pub fn push(&mut self, element: T) -> &mut T {
        if self.len == self.pieces.len() * PIECE {
            // The first piece grows as any list does: most lists stay small.
            let room = if self.pieces.is_empty() { 0 } else { PIECE };
            self.pieces.push(Vec::with_capacity(room));
        }
        self.len += 1;
        let last = self.pieces.len() - 1;
        self.pieces[last].push_mut(element)
    }

    /// Takes out the element at `place`, which is there, and puts the last one into its place.
    pub fn swap_remove(&mut self, place: usize) -> T {
        let piece = self.pieces.last_mut().expect("there is an element");
        let last = piece.pop().expect("no piece is empty");
        if piece.is_empty() {
            self.pieces.pop();
        }
        self.len -= 1;
        match self.get_mut(place) {
            Some(element) => std::mem::replace(element, last),
            None => last,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_list(steps in vec(prop_oneof![3 => Just(None), 1 => (0usize..400).prop_map(Some)], 0..900)) {
            let (mut pieces, mut list) = (Pieces::default(), Vec::new());
            for (number, step) in steps.into_iter().enumerate() {
                match step {
                    Some(place) if place < list.len() => prop_assert_eq!(pieces.swap_remove(place), list.swap_remove(place)),
                    _ => {
                        prop_assert_eq!(*pieces.push(number), number);
                        list.push(number);
                    }
                }
                prop_assert_eq!(pieces.len(), list.len());
            }
            prop_assert!(pieces.iter().eq(&list));
            for place in 0..list.len() + 1 {
                prop_assert_eq!(pieces.get(place), list.get(place));
                prop_assert_eq!(pieces.get_mut(place), list.get_mut(place));
            }
        }
    }
}
