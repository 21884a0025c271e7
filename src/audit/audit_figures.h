// The charts of an audit.
#pragma once

#include <string>

#include "audit/audit_report.h"
#include "report/chart_sheet.h"

namespace flashlm {

// The HTML of all charts; the sheet's owners are the audit's models.
std::string AuditCharts(const Audit& audit, ChartSheet& sheet);

}  // namespace flashlm
