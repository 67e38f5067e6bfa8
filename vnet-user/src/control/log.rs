//! What the programs say, for people who debug them.

use log::LevelFilter;

use super::{ControlError, Vnet, attach::Attached};
use crate::datapath;

impl Attached {
    /// Prints what the programs log to standard error, until the future is dropped.
    ///
    /// # Errors
    ///
    /// When the log can't be read.
    pub async fn follow_log(&mut self) -> Result<(), ControlError> {
        match &mut self.loaded {
            Some(programs) => Ok(datapath::log::follow(programs).await?),
            None => std::future::pending().await,
        }
    }
}

impl Vnet {
    /// Puts programs that log nothing in the place of those that this command attached. An uplink that was detached
    /// meanwhile, or whose programs somebody else replaced, is left alone.
    ///
    /// # Errors
    ///
    /// When the kernel refuses.
    pub async fn stop_logging(&mut self, attached: &Attached) -> Result<(), ControlError> {
        let Ok(link) = self.uplink_link(&attached.uplink).await else {
            return Ok(());
        };
        if self.uplink(&attached.uplink)?.programs == attached.programs {
            self.replace(&link, LevelFilter::Off).await?;
        }
        Ok(())
    }
}
