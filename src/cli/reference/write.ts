import { writeFile } from 'node:fs/promises'
import { PACKAGE_ROOT } from '../../base/package-root.ts'
import { COMMANDS } from '../commands.ts'
import { configurationPage } from './configuration-page.ts'

// npm run docs
await writeFile(new URL('docs/configuration.md', PACKAGE_ROOT), configurationPage(COMMANDS))
