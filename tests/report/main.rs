//! What is made from a run: the page in a browser, the schema of run.json, hostile files,
//! and how much time and memory it takes.

mod bait;
mod browser;
mod hostile;
mod limits;
mod markup;
mod schema;
mod setup;

use stalecore_synthetic as synthetic;
