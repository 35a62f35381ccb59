import { threadRuntime } from '../../runtime/thread-runtime.ts'
import type { LoadedSpan } from './loaded-span.ts'
import { releaseResident } from './resident.ts'

/**
 * Gives back a span that nothing runs any more: its sessions, and its weights on a device, where each call has to wait
 * for its turn. `onDevice: false`: somebody else has done that part.
 */
export function releaseSpan(span: LoadedSpan, { onDevice = true }: { readonly onDevice?: boolean } = {}): void {
  const ort = threadRuntime.onnxRuntime()
  for (const session of span.sessions) ort.release('ReleaseSession', session)
  if (onDevice) releaseResident(span)
}
