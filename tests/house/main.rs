//! Rules of the house, for the image's sources: what may import what.

mod layers;
mod source;
