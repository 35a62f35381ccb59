import { VERSION } from '../../base/version.ts'

/** What answers say of the program that made them. */
export const FINGERPRINT = `petals-node-${VERSION}`
