import type { PageFile } from './page-files.ts'

/** A response to a request for a file. */
export interface PageAnswer {
  readonly status: 200 | 304
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer | undefined
}

/** What is said of every file: browsers ask whether it has changed, take it for what it is, and tell nobody of it. */
const COMMON_HEADERS = {
  'cache-control': 'no-cache',
  vary: 'accept-encoding',
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-resource-policy': 'same-origin',
}

const DOCUMENT_HEADERS = {
  'cross-origin-opener-policy': 'same-origin',
  'permissions-policy': 'camera=(), microphone=(), geolocation=()',
}

/** What a request gets that knows the versions `ifNoneMatch` and understands the encodings `acceptEncoding`. */
export function answerWith(
  { contentType, etag, body, gzipped, policy }: PageFile,
  { ifNoneMatch = '', acceptEncoding = '' }: { ifNoneMatch?: string | undefined; acceptEncoding?: string | undefined },
): PageAnswer {
  const headers = {
    ...COMMON_HEADERS,
    ...(policy !== undefined && { ...DOCUMENT_HEADERS, 'content-security-policy': policy }),
    etag,
  }
  if (ifNoneMatch.split(/\s*,\s*/).some((known) => known.replace(/^W\//, '') === etag))
    return { status: 304, headers, body: undefined }
  const zips = /\bgzip\b(?!\s*;\s*q=0(?:\.0*)?(?:\s*,|\s*$))/.test(acceptEncoding)
  return {
    status: 200,
    headers: { ...headers, 'content-type': contentType, ...(zips && { 'content-encoding': 'gzip' }) },
    body: zips ? gzipped : body,
  }
}
