//! Commands that are one change: all of them are done, or none.

use crate::control::RefusedTogether;

/// None of them was done.
#[derive(Debug)]
pub struct Failed {
    /// The one that was refused, if it was one.
    pub index: Option<usize>,
    pub error: anyhow::Error,
}

impl Failed {
    /// For the error of one of them.
    pub fn at<E: Into<anyhow::Error>>(index: usize) -> impl FnOnce(E) -> Self {
        move |error| Self {
            index: Some(index),
            error: error.into(),
        }
    }
}

impl From<RefusedTogether> for Failed {
    fn from(refused: RefusedTogether) -> Self {
        let RefusedTogether { index, error } = refused;
        Self {
            index,
            error: error.into(),
        }
    }
}

impl From<anyhow::Error> for Failed {
    fn from(error: anyhow::Error) -> Self {
        Self { index: None, error }
    }
}

/// Of a command that was the only one.
pub fn alone(result: Result<(), Failed>) -> anyhow::Result<()> {
    result.map_err(|failed| failed.error)
}
