/* http_test_certificates: keys and certificates for tests, as PEM files in a folder. */
#pragma once
#include <stdbool.h>

/* Makes NAME.key and NAME.pem in `folder`, signed by ISSUER (in the same folder) or, when that is
 * NULL, by itself as an authority. `host` (may be NULL) is a DNS name, or "127.0.0.1". */
void certificate_make(const char *folder, const char *name, const char *issuer, const char *host,
                      int days);
