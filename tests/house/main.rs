//! Rules for the image's sources: what may import what, how few files have `unsafe`, and
//! in how few places one more of a kind is added.

mod adding;
mod layers;
mod rooms;
mod source;
