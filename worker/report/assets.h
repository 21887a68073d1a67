// SPDX-License-Identifier: Apache-2.0
// assets: the files that a report is made of, in the binary.
#ifndef MR_WORKER_REPORT_ASSETS_H
#define MR_WORKER_REPORT_ASSETS_H

#include "core/base/bytes.h"

mr_bytes mr_report_page(void);   // page.html: up to the end of the document's head and main
mr_bytes mr_report_script(void); // report.js
mr_bytes mr_report_charts(void); // Chart.js (MIT), as its Debian package has it

#endif
