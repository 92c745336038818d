// Runs what the two CI files of this folder would run, without GitHub and without GitLab: takes the script lines out of
// them and gives each job to bash, in a copy of this folder.
//
//   node examples/ci/run-ci.ts github|gitlab NAME=VALUE...
//
// NAME=VALUE are the job's variables (TSBUILD, REGISTRY, REGISTRY_USER, REGISTRY_PASSWORD, IMAGE, REVISION), which win
// over those of the file. `uses:` steps (checkout, setup-node) are the runner's own and are left out.
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const [system, ...variables] = process.argv.slice(2);
const files: Readonly<Record<string, string>> = {
  github: '.github/workflows/image.yml',
  gitlab: '.gitlab-ci.yml',
};
const file = files[system ?? ''];
if (file === undefined) {
  process.stderr.write('usage: run-ci.ts github|gitlab NAME=VALUE...\n');
  process.exit(2);
}

const scripts = scriptsOf(readFileSync(join(here, file), 'utf8'));
if (scripts.length === 0) throw new Error(`${file} has no script lines`);
const work = mkdtempSync(join(tmpdir(), 'tsbuild-ci-'));
try {
  cpSync(here, work, { recursive: true });
  // A job's home and npm prefix are its own, as on a fresh runner.
  const env: NodeJS.ProcessEnv = {
    ...process.env,
    ...Object.fromEntries(
      variables.map((text) => [text.slice(0, text.indexOf('=')), text.slice(text.indexOf('=') + 1)]),
    ),
    DOCKER_CONFIG: join(work, '.docker'),
    XDG_DATA_HOME: join(work, '.data'),
    npm_config_prefix: join(work, '.npm-global'),
    PATH: `${join(work, '.npm-global/bin')}:${process.env['PATH'] ?? ''}`,
  };
  for (const script of scripts) {
    process.stderr.write(`+ ${script.trim().replaceAll('\n', '\n+ ')}\n`);
    const { status } = spawnSync('bash', ['-e', '-o', 'pipefail', '-c', script], {
      cwd: work,
      env,
      stdio: ['ignore', 'inherit', 'inherit'],
    });
    if (status !== 0) {
      process.stderr.write(`run-ci: ended with status ${status}\n`);
      process.exitCode = 1;
      break;
    }
  }
} finally {
  rmSync(work, { recursive: true, force: true });
}

/** The values of `run:` and the items of `script:` lists, in order. Only the YAML that these two files use. */
function scriptsOf(yaml: string): string[] {
  const found: string[] = [];
  const lines = yaml.split('\n');
  for (let at = 0; at < lines.length; at++) {
    const line = lines[at] ?? '';
    const inline = /^\s*run: (?!\|)(.+)$/.exec(line)?.[1];
    if (inline !== undefined) found.push(inline);
    else if (/^\s*run: \|$/.test(line)) {
      const block = indented(lines, at);
      found.push(block.map((text) => text.slice(indent(block[0] ?? ''))).join('\n'));
    } else if (/^\s*(before_)?script:$/.test(line)) {
      found.push(...indented(lines, at).map((text) => text.trim().replace(/^- /, '')));
    }
  }
  return found;
}

/** The lines below `at` that are indented deeper. */
function indented(lines: readonly string[], at: number): string[] {
  const block: string[] = [];
  for (const line of lines.slice(at + 1)) {
    if (line.trim() !== '' && indent(line) <= indent(lines[at] ?? '')) break;
    block.push(line);
  }
  return block;
}

function indent(line: string): number {
  return line.length - line.trimStart().length;
}
