import { bootstrapCommand } from './bootstrap.ts'
import { chatCommand } from './chat.ts'
import type { ProgramCommand } from './command.ts'
import { completionCommand } from './completion.ts'
import { demoCommand } from './demo.ts'
import { doctorCommand } from './doctor.ts'
import { generateCommand } from './generate.ts'
import { keygenCommand } from './keygen.ts'
import { serveCommand } from './serve.ts'
import { statusCommand } from './status.ts'
import { verifyCommand } from './verify.ts'

/** In the order in which --help lists them. */
export const COMMANDS: readonly ProgramCommand[] = [
  demoCommand, serveCommand, bootstrapCommand, generateCommand, chatCommand, statusCommand, verifyCommand, doctorCommand, keygenCommand,
  completionCommand,
]
