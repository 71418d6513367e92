//! What do commands about management services' reports change?

use super::{Draft, Refusal, validate};
use crate::{Change, DeviceId, DeviceState, EventType, MdmReport, Target};

impl Draft<'_> {
    /// The report takes the place of the same source's earlier one. A deactivated device takes none, and its old ones are
    /// gone, so that after activation only what is said anew counts.
    pub(super) fn report_device(&mut self, report: &MdmReport) -> Result<(), Refusal> {
        let device = self.device(report.device)?;
        validate::name("source", &report.source)?;
        validate::check(report.ends > report.at, "ends", "a time after the report's own")?;
        match device.state {
            DeviceState::Active | DeviceState::Suspended { .. } => {}
            DeviceState::Deactivated { .. } => return Err(Refusal::DeviceNotActive),
        }
        self.event(EventType::DeviceReport, [Target::from(&*device)]);
        self.changes.push(Change::PutReport(Box::new(report.clone())));
        self.touch_device(&device);
        Ok(())
    }

    pub(super) fn withdraw_report(&mut self, device: DeviceId, source: &str) -> Result<(), Refusal> {
        let device = self.device(device)?;
        if self.snapshot.report(device.id, source).is_none() {
            return Err(Refusal::NotFound {
                what: "report by",
                id: source.to_owned(),
            });
        }
        self.event(EventType::DeviceReportWithdraw, [Target::from(&*device)]);
        self.changes.push(Change::DeleteReport {
            device: device.id,
            source: source.to_owned(),
        });
        self.touch_device(&device);
        Ok(())
    }
}
