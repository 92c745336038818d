import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parseDockerfile } from '../../src/frontend/parse.ts';
import { formatDefinition } from '../../src/graph/format.ts';
import { expectGolden } from '../support/golden.ts';
import { projectRoot } from '../support/paths.ts';
import type { Bases, LowerSetup } from './lowered.ts';
import { lowerText } from './lowered.ts';

// Dockerfiles in the manner of well-known projects; the text is our own. `options.json` has a case's options, where it needs some.
const root = join(projectRoot, 'golden/well-known');
const cases = readdirSync(root).toSorted();

const path = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
const shell = { config: { Env: [path], Cmd: ['/bin/sh'] } };
const bash = { config: { Env: [path], Cmd: ['bash'] } };
const node = {
  config: { Env: [path, 'NODE_VERSION=22.12.0'], Entrypoint: ['docker-entrypoint.sh'], Cmd: ['node'] },
};
const golang = {
  config: { Env: [`PATH=/go/bin:/usr/local/go/bin:${path.slice(5)}`, 'GOPATH=/go'], WorkingDir: '/go' },
};
const distroless = {
  config: { Env: [path, 'SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt'], User: '0', WorkingDir: '/' },
};

/** The bases of these files, as much of their configs as matters. */
const bases: Bases = {
  'docker.io/library/alpine:3.21': shell,
  'docker.io/library/buildpack-deps:bookworm': bash,
  'docker.io/library/debian:bookworm-slim': bash,
  'docker.io/library/eclipse-temurin:21-jdk': {
    config: {
      Env: [`PATH=/opt/java/openjdk/bin:${path.slice(5)}`, 'JAVA_HOME=/opt/java/openjdk'],
      Cmd: ['jshell'],
    },
  },
  'docker.io/library/eclipse-temurin:21-jre-alpine': {
    config: { Env: [`PATH=/opt/java/openjdk/bin:${path.slice(5)}`, 'JAVA_HOME=/opt/java/openjdk'] },
  },
  'docker.io/library/elixir:1.18-otp-27-alpine': { config: { Env: [path, 'LANG=C.UTF-8'], Cmd: ['iex'] } },
  'docker.io/library/golang:1.23-alpine': golang,
  'docker.io/library/node:22-alpine': node,
  'docker.io/library/node:22-bookworm-slim': node,
  'docker.io/library/node:22-slim': node,
  'docker.io/library/oraclelinux:9-slim': bash,
  'docker.io/library/php:8.3-apache': {
    config: {
      Env: [path, 'PHP_INI_DIR=/usr/local/etc/php'],
      Entrypoint: ['docker-php-entrypoint'],
      Cmd: ['apache2-foreground'],
      WorkingDir: '/var/www/html',
      ExposedPorts: { '80/tcp': {} },
      StopSignal: 'SIGWINCH',
    },
  },
  'docker.io/library/ruby:3.3-slim': { config: { Env: [path, 'GEM_HOME=/usr/local/bundle'], Cmd: ['irb'] } },
  'docker.io/library/rust:1.83-bookworm': { config: { Env: [`PATH=/usr/local/cargo/bin:${path.slice(5)}`] } },
  'docker.io/library/ubuntu:noble': {
    config: { Env: [path], Cmd: ['/bin/bash'], Labels: { 'org.opencontainers.image.version': '24.04' } },
  },
  'gcr.io/distroless/base-debian12:latest': distroless,
  'gcr.io/distroless/cc-debian12:nonroot': {
    config: { ...distroless.config, User: '65532', WorkingDir: '/home/nonroot' },
  },
  'mcr.microsoft.com/dotnet/aspnet:9.0-alpine': {
    config: { Env: [path, 'APP_UID=1654', 'ASPNETCORE_HTTP_PORTS=8080'] },
  },
  'mcr.microsoft.com/dotnet/sdk:9.0-alpine': bash,
  'quay.io/prometheus/busybox-linux-amd64:latest': shell,
  'registry.access.redhat.com/ubi9-micro:latest': { config: { Env: [path, 'container=oci'] } },
  'registry.access.redhat.com/ubi9:latest': { config: { Env: [path, 'container=oci'], Cmd: ['/bin/bash'] } },
};

async function outcome(text: string, setup: LowerSetup): Promise<string> {
  const { definition, images, diagnostics } = await lowerText(text, { bases, ...setup });
  const numbers = new Map(definition.vertices.map(({ digest }, index) => [digest, `#${index + 1}`]));
  const lines = images.flatMap(({ platform, config, history }) => [
    `platform ${JSON.stringify(platform)}`,
    `config ${JSON.stringify(config, undefined, 2)}`,
    ...history.map(
      ({ vertex, created_by }) =>
        `history ${vertex === undefined ? '-' : (numbers.get(vertex) ?? '?')} ${JSON.stringify(created_by)}`,
    ),
  ]);
  const notes = diagnostics.map(
    ({ severity, rule, message, source }) =>
      `${severity} ${rule} ${source?.range.start.line ?? '-'} ${message}`,
  );
  return [formatDefinition(definition), ...lines, ...notes, ''].join('\n');
}

describe('Dockerfiles in the manner of well-known projects', () => {
  test('there are thirty and more, of fifteen lines and more each, and all stages of each can be built', async () => {
    expect(cases.length).toBeGreaterThanOrEqual(32);
    for (const name of cases) {
      const text = readFileSync(join(root, name, 'Dockerfile'), 'utf8');
      expect(text.split('\n').filter((line) => line.trim() !== '').length, name).toBeGreaterThanOrEqual(15);
      const parsed = parseDockerfile({ name: 'Dockerfile', text });
      expect(parsed.errors, name).toEqual([]);
      for (const { index } of parsed.stages) {
        const { images } = await lowerText(text, {
          bases,
          namedContexts: { tools: { kind: 'tree' } },
          target: String(index),
        });
        expect(images, name).toHaveLength(1);
      }
    }
  });

  test.each(cases)('%s', async (name) => {
    const options = join(root, name, 'options.json');
    const setup = existsSync(options) ? (JSON.parse(readFileSync(options, 'utf8')) as LowerSetup) : {};
    const text = readFileSync(join(root, name, 'Dockerfile'), 'utf8');
    expectGolden(`well-known/${name}/expected.txt`, await outcome(text, setup));
  });
});
