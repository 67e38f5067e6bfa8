//! What the programs say, for people who debug them.

use log::LevelFilter;

use super::{ControlError, Vnet, attach::Attached};
use crate::datapath::{self, load};

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
    /// Puts programs that log nothing in the place of those that log at `level`. An uplink that was detached meanwhile,
    /// or whose programs somebody else replaced, is left alone.
    ///
    /// # Errors
    ///
    /// When the kernel refuses.
    pub async fn stop_logging(
        &mut self,
        iface: &str,
        level: LevelFilter,
    ) -> Result<(), ControlError> {
        let Ok(link) = self.uplink_link(iface).await else {
            return Ok(());
        };
        if self.uplink(iface)?.programs == load::build_id(level) {
            self.replace(&link, LevelFilter::Off)?;
        }
        Ok(())
    }
}
