import { PetalsError } from '../base/errors.ts'

/** `FAMILY_UNKNOWN`: no such model type; `FAMILY_UNSUPPORTED`: an option of a known one. */
export type FamilyErrorCode = 'FAMILY_UNKNOWN' | 'FAMILY_UNSUPPORTED'

/** A model that cannot be run, known before any of its weights is read. `option` is of its config.json. */
export class FamilyError extends PetalsError {
  declare readonly code: FamilyErrorCode

  constructor(code: FamilyErrorCode, option: string, value: string, problem: string) {
    super(code, `config.json: ${option} ${value} ${problem}`)
  }
}
