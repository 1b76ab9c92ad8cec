//! Rules of the house, for the image's sources: what may import what, and in
//! how few places one more of a kind is added.

mod adding;
mod layers;
mod source;
