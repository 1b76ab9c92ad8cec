//! Rules of the house, for the image's sources: what may import what, in how few files
//! `unsafe` is, and in how few places one more of a kind is added.

mod adding;
mod layers;
mod rooms;
mod source;
